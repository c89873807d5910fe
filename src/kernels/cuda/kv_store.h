#pragma once

#include "kernels/cuda/output.h"
#include "kernels/cuda/scales.h"

// Keys or values of one layer in a GPU's memory: tokens whose numbers are rounded to a few bits, and behind them those
// that are kept as they came.
namespace lowbit::kernels::cuda {

/// What a code stands for is code scale + minimum, in float32 with two roundings, as the CPU's caches compute it;
/// without minima it is code scale - 2^(bits - 1) scale.
struct KvStore {
  std::uint32_t* words;  ///< [sequences][heads][capacity][channels * bits / 32], the first channel in the lowest bits
  void* scales;  ///< of tokens: [sequences][heads][capacity / group][channels]; else [..][capacity][groups of channels]
  void* minima;  ///< likewise, or null
  const void* recent;  ///< [sequences][heads][recent_capacity][channels]
  NumberKind recent_kind;
  ScaleKind scale_kind;
  std::int32_t bits;  ///< 2, 4 or 8
  std::int32_t heads;
  std::int32_t channels;
  std::int32_t group;      ///< that share a scale: tokens of a channel, or channels of a token
  std::int32_t of_tokens;  ///< whether they are tokens, as KIVI has it for keys
  std::int32_t capacity;   ///< tokens; a multiple of the group where groups are of tokens
  std::int32_t recent_capacity;
  std::int32_t rounded;  ///< tokens that are rounded; the first one behind them is the first of `recent`

  LOWBIT_HOST_DEVICE int row_words() const { return channels * bits / 32; }
  LOWBIT_HOST_DEVICE int channel_groups() const { return (channels + group - 1) / group; }
  /// `row` counts sequences' heads.
  LOWBIT_HOST_DEVICE std::int64_t word_at(std::int64_t row, int token, int channel) const {
    return (row * capacity + token) * row_words() + channel * bits / 32;
  }
  LOWBIT_HOST_DEVICE std::int64_t scale_at(std::int64_t row, int token, int channel) const {
    if (of_tokens != 0) return (row * (capacity / group) + token / group) * channels + channel;
    return (row * capacity + token) * channel_groups() + channel / group;
  }
  LOWBIT_HOST_DEVICE float number(const void* base, std::int64_t index) const {
    return load_scale(scale_kind, base, index);
  }
  /// A scale or minimum rounded to how it is kept.
  LOWBIT_HOST_DEVICE float as_kept(float value) const {
    switch (scale_kind) {
      case ScaleKind::kFloat16: return half_as_float(as_half(value));
      case ScaleKind::kBFloat16: return bfloat16_as_float(as_bfloat16(value));
      case ScaleKind::kFloat32: break;
    }
    return value;
  }
  LOWBIT_HOST_DEVICE void keep(void* base, std::int64_t index, float value) const {
    if (scale_kind == ScaleKind::kFloat32) {
      static_cast<float*>(base)[index] = value;
    } else {
      static_cast<std::uint16_t*>(base)[index] =
          scale_kind == ScaleKind::kFloat16 ? as_half(value) : as_bfloat16(value);
    }
  }
  LOWBIT_HOST_DEVICE float value(std::int64_t row, int token, int channel) const {
    if (token >= rounded) {
      return load_number(recent_kind, recent, (row * recent_capacity + token - rounded) * channels + channel);
    }
    const std::uint32_t word = words[word_at(row, token, channel)];
    const auto code = static_cast<float>((word >> (channel * bits % 32)) & ((1U << bits) - 1U));
    const std::int64_t at = scale_at(row, token, channel);
    const float scale = number(scales, at);
    return code * scale + (minima != nullptr ? number(minima, at) : -static_cast<float>(1 << (bits - 1)) * scale);
  }
};

}  // namespace lowbit::kernels::cuda
