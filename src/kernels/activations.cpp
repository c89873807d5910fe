#include "kernels/activations.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "kernels/round_tokens.h"

namespace lowbit::kernels {

namespace {

constexpr float kByteRange = 127.0F;
// 127 * 256 + 127: both planes of such an integer are bytes.
constexpr float kWordRange = 32639.0F;

float scale_for(std::int32_t largest, float range) {
  const auto magnitude = std::bit_cast<float>(largest);
  if (!(magnitude <= std::numeric_limits<float>::max())) return std::numeric_limits<float>::quiet_NaN();
  return std::max(magnitude / range, std::numeric_limits<float>::min());
}

class TokenArranger {
 public:
  TokenArranger(const Arranging& arranging, std::int64_t token)
      : arranging_(arranging),
        layout_(arranging.layout),
        source_(arranging.input.data + token * arranging.input.stride),
        token_(token) {
    const std::int64_t tile = arranging.kernel.tile;
    const std::int64_t first = token / tile * tile;
    lanes_ = std::min(tile, arranging.input.tokens - first);
    lane_ = token - first;
    words_ = reinterpret_cast<std::uint32_t*>(arranging.target.values + first * arranging.target.bytes_per_token);
  }

  void arrange() {
    const bool per_token = rounds_tokens(arranging_.arithmetic);
    if (per_token) {
      scale_ = scale_for(largest_magnitude(source_, layout_.shape.columns), kByteRange);
      arranging_.target.token_scales[token_] = scale_;
    }
    for (std::size_t r = 0; r < layout_.runs.size(); ++r) {
      const Run& run = layout_.runs[r];
      const float* values = gathered(run);
      if (arranging_.arithmetic == Arithmetic::kFloat32) {
        store_floats(values, run);
        continue;
      }
      if (arranging_.arithmetic == Arithmetic::kBFloat16) {
        round_to_bfloats(values, run.columns, rounded_);
        if (arranging_.kernel.form == Form::kBFloats) {
          store_bfloats(run);
        } else {
          store_floats(rounded_, run);
        }
        continue;
      }
      const auto at = static_cast<std::size_t>(token_) * layout_.runs.size() + r;
      if (!per_token) {
        scale_ = scale_for(largest_magnitude(values, run.columns), kWordRange);
        arranging_.target.run_scales[at] = scale_;
      }
      arranging_.target.run_sums[at] = store_integers(values, run);
    }
  }

 private:
  const float* gathered(const Run& run) {
    const std::int64_t first = std::int64_t{run.first_step} * kStepColumns;
    if (layout_.sources.empty()) return source_ + first;
    for (std::int32_t i = 0; i < run.columns; ++i) {
      gathered_[i] = source_[layout_.sources[static_cast<std::size_t>(first + i)]];
    }
    return gathered_;
  }

  std::int32_t store_integers(const float* values, const Run& run) {
    const std::int32_t places = run.steps * kStepColumns;
    std::fill(integers_ + run.columns, integers_ + places, std::int16_t{0});
    std::int32_t sum = 0;
    if (scale_ == scale_) {
      sum = round_to_integers(values, run.columns, scale_, integers_);
    } else {
      std::fill_n(integers_, run.columns, std::int16_t{0});
    }
    switch (arranging_.kernel.form) {
      case Form::kBytes: store_bytes(run, places / 4); break;
      case Form::kTwoPlanes: store_planes(run, places / 4); break;
      case Form::kWords: store_words(run, places / 4); break;
      case Form::kFloats:
      case Form::kBFloats:
      case Form::kPlain:
        std::memcpy(word(run, 0), integers_, static_cast<std::size_t>(places) * sizeof(std::int16_t));
        break;
    }
    return sum;
  }

  void store_bytes(const Run& run, std::int32_t quads) {
    low_bytes(integers_, 4 * quads, low_);
    spread(low_, quads, word(run, 0), lanes_);
  }

  void store_planes(const Run& run, std::int32_t quads) {
    split_bytes(integers_, 4 * quads, high_, low_);
    spread(high_, quads, word(run, 0), 2 * lanes_);
    spread(low_, quads, word(run, 0) + lanes_, 2 * lanes_);
  }

  // Words of four bytes each, `stride` words apart.
  static void spread(const std::uint8_t* bytes, std::int32_t quads, std::uint32_t* target, std::int64_t stride) {
    for (std::int32_t q = 0; q < quads; ++q) std::memcpy(target + q * stride, bytes + 4 * q, sizeof(std::uint32_t));
  }

  void store_words(const Run& run, std::int32_t quads) {
    std::uint32_t* target = word(run, 0);
    for (std::int32_t q = 0; q < quads; ++q) {
      std::uint32_t pairs[2];
      std::memcpy(pairs, integers_ + 4 * q, sizeof pairs);
      target[2 * q * lanes_] = (pairs[0] & 0xFFFFU) | (pairs[1] << 16);
      target[(2 * q + 1) * lanes_] = (pairs[0] >> 16) | (pairs[1] & 0xFFFF0000U);
    }
  }

  void store_floats(const float* values, const Run& run) {
    std::uint32_t* target = word(run, 0);
    const std::int32_t places = run.steps * kStepColumns;
    for (std::int32_t i = 0; i < places; ++i) {
      target[i * lanes_] = i < run.columns ? std::bit_cast<std::uint32_t>(values[i]) : 0U;
    }
  }

  void store_bfloats(const Run& run) {
    std::fill(rounded_ + run.columns, rounded_ + run.steps * kStepColumns, 0.0F);
    std::uint32_t* target = word(run, 0);
    for (std::int32_t i = 0; i < run.steps * kStepColumns / 2; ++i) {
      target[i] = (std::bit_cast<std::uint32_t>(rounded_[2 * i]) >> 16) |
                  (std::bit_cast<std::uint32_t>(rounded_[2 * i + 1]) & 0xFFFF0000U);
    }
  }

  // This token's first word of the run's quad.
  [[nodiscard]] std::uint32_t* word(const Run& run, std::int32_t quad) const {
    const std::int64_t index = std::int64_t{run.first_step} * kStepQuads + quad;
    return words_ + index * words_of_quad(arranging_.kernel.form) * lanes_ + lane_;
  }

  const Arranging& arranging_;
  const PackedLayout& layout_;
  const float* source_;
  std::int64_t token_;
  std::int64_t lanes_ = 1;
  std::int64_t lane_ = 0;
  std::uint32_t* words_ = nullptr;
  float scale_ = 0.0F;
  alignas(64) float gathered_[kRunColumns];
  alignas(64) float rounded_[kRunColumns];
  alignas(64) std::int16_t integers_[kRunColumns];
  alignas(64) std::uint8_t high_[kRunColumns];
  alignas(64) std::uint8_t low_[kRunColumns];
};

}  // namespace

Arranged lay_out(std::byte* space, const PackedLayout& layout, const Kernel& kernel, std::int64_t tokens) {
  Arranged result;
  const auto take = [&](std::int64_t bytes) {
    std::byte* start = space == nullptr ? nullptr : space + result.bytes;
    result.bytes += (static_cast<std::size_t>(bytes) + kAlignment - 1) / kAlignment * kAlignment;
    return start;
  };
  const std::int64_t quads = layout.steps * kStepQuads;
  const auto runs = static_cast<std::int64_t>(layout.runs.size());
  result.bytes_per_token = quads * words_of_quad(kernel.form) * static_cast<std::int64_t>(sizeof(std::uint32_t));
  result.values = take(tokens * result.bytes_per_token);
  result.token_scales = reinterpret_cast<float*>(take(tokens * 4));
  result.run_scales = reinterpret_cast<float*>(take(tokens * runs * 4));
  result.run_sums = reinterpret_cast<std::int32_t*>(take(tokens * runs * 4));
  return result;
}

void arrange_tokens(const Arranging& arranging, std::int64_t begin, std::int64_t end) {
  for (std::int64_t token = begin; token < end; ++token) TokenArranger(arranging, token).arrange();
}

}  // namespace lowbit::kernels
