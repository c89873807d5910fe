#include "quantization/kv_cache/rounded_tokens.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lowbit/base/error.h"
#include "lowbit/base/half.h"
#include "lowbit/formats/packing.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/kv_cache/decode_codes.h"

namespace lowbit {
namespace {

// Numbers that a thread decodes at least, so that short caches stay on one.
constexpr std::int64_t kNumbersPerPart = 1 << 14;

// Channels whose scales are read at a time.
constexpr std::int64_t kChannels = 256;

struct Extremes {
  float least = std::numeric_limits<float>::infinity();
  float most = -std::numeric_limits<float>::infinity();
};

[[noreturn]] void refuse_overflow() {
  fail(ErrorCode::kData, "KV cache: a key or value is not finite; the model's numbers overflow or are damaged");
}

}  // namespace

double KvRounding::bits_per_number(std::int64_t channels) const {
  const std::int64_t width = groups == Groups::kOfChannels && (group <= 0 || group > channels) ? channels : group;
  return bits + static_cast<double>((symmetric ? 1 : 2) * scale_type_bits(scale)) / static_cast<double>(width);
}

float StoredScales::add(float number) {
  if (!std::isfinite(number)) refuse_overflow();
  if (type_ == ScaleType::kFloat32) {
    floats_.push_back(number);
    return number;
  }
  const bool half = type_ == ScaleType::kFloat16;
  const std::uint16_t stored = half ? float_to_half(number) : float_to_bfloat16(number);
  const float rounded = half ? half_to_float(stored) : bfloat16_to_float(stored);
  if (!std::isfinite(rounded)) {
    fail(ErrorCode::kData, "KV cache: {:.6g} is too large for a scale in {}; set 'scale: float32'", number,
         scale_type_name(type_));
  }
  halves_.push_back(stored);
  return rounded;
}

float StoredScales::operator[](std::size_t index) const {
  if (type_ == ScaleType::kFloat32) return floats_[index];
  return type_ == ScaleType::kFloat16 ? half_to_float(halves_[index]) : bfloat16_to_float(halves_[index]);
}

std::int64_t RoundedTokens::row_words() const { return packed_words(row(), rounding_.bits); }

void RoundedTokens::set_shape(const at::Tensor& x) {
  heads_ = x.size(1);
  channels_ = x.size(3);
  const bool of_tokens = rounding_.groups == KvRounding::Groups::kOfTokens;
  width_ = of_tokens ? 1 : rounding_.group > 0 ? rounding_.group : channels_;
  const std::int64_t of_head = (channels_ + width_ - 1) / width_;
  for (std::int64_t i = 0; i < row(); ++i) group_of_.push_back(i / channels_ * of_head + i % channels_ / width_);
  groups_ = heads_ * of_head;
  const StoredScales none(rounding_.scale);
  sequences_.assign(static_cast<std::size_t>(x.size(0)), {std::vector<std::uint32_t>(kCodesBehind), none, none});
}

void RoundedTokens::check_shape(const at::Tensor& x) const {
  if (x.size(0) != static_cast<std::int64_t>(sequences_.size()) || x.size(1) != heads_ || x.size(3) != channels_ ||
      x.size(2) % run() != 0) {
    fail(ErrorCode::kInternal, "KV cache: tokens of shape {} follow {} sequences of {} heads of {} in runs of {}",
         shape_text(shape_of(x)), sequences_.size(), heads_, channels_, run());
  }
}

void RoundedTokens::append(const at::Tensor& x) {
  const std::int64_t tokens = x.size(2);
  if (tokens == 0) return;
  if (sequences_.empty()) set_shape(x);
  check_shape(x);
  if (!all_finite(x)) refuse_overflow();
  const at::Tensor numbers = x.contiguous();
  const float* data = values_of<float>(numbers).data();
  for (std::size_t s = 0; s < sequences_.size(); ++s) {
    const float* begin = data + static_cast<std::int64_t>(s) * heads_ * tokens * channels_;
    for (std::int64_t token = 0; token < tokens; token += run()) {
      encode_run(begin + token * channels_, tokens * channels_, sequences_[s]);
    }
  }
  length_ += tokens;
}

void RoundedTokens::encode_run(const float* x, std::int64_t head_stride, Sequence& sequence) {
  std::vector<Extremes> extremes(static_cast<std::size_t>(groups_));
  const auto number = [&](std::int64_t token, std::int64_t i) {
    return x[i / channels_ * head_stride + token * channels_ + i % channels_];
  };
  for (std::int64_t token = 0; token < run(); ++token) {
    for (std::int64_t i = 0; i < row(); ++i) {
      Extremes& found = extremes[static_cast<std::size_t>(group_of_[static_cast<std::size_t>(i)])];
      found.least = std::min(found.least, number(token, i));
      found.most = std::max(found.most, number(token, i));
    }
  }
  const float top = static_cast<float>((1 << rounding_.bits) - 1);
  const float middle = rounding_.symmetric ? static_cast<float>(1 << (rounding_.bits - 1)) : 0.0F;
  std::vector<float> scales;
  std::vector<float> minima;  // what code 0 of an asymmetric group stands for
  for (const Extremes& found : extremes) {
    minima.push_back(rounding_.symmetric ? 0.0F : sequence.minima.add(found.least));
    const float span = rounding_.symmetric ? std::max(-found.least, found.most) : found.most - minima.back();
    scales.push_back(sequence.scales.add(std::max(span, 0.0F) / (rounding_.symmetric ? middle - 1.0F : top)));
  }
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(row()));
  for (std::int64_t token = 0; token < run(); ++token) {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const auto group = static_cast<std::size_t>(group_of_[i]);
      const float steps =
          scales[group] > 0 ? (number(token, static_cast<std::int64_t>(i)) - minima[group]) / scales[group] : 0.0F;
      codes[i] = static_cast<std::uint8_t>(std::clamp(std::nearbyint(steps) + middle, 0.0F, top));
    }
    const std::size_t begin = sequence.words.size() - kCodesBehind;
    const auto words = static_cast<std::size_t>(row_words());
    sequence.words.resize(sequence.words.size() + words);
    pack_bits(codes, rounding_.bits, std::span(sequence.words).subspan(begin, words));
  }
}

RoundedTokens::Affine RoundedTokens::affine(const Sequence& sequence, std::int64_t group) const {
  const float scale = sequence.scales[static_cast<std::size_t>(group)];
  const float middle = static_cast<float>(1 << (rounding_.bits - 1));
  return {scale, rounding_.symmetric ? -middle * scale : sequence.minima[static_cast<std::size_t>(group)]};
}

void RoundedTokens::read(std::int64_t sequence_index, std::int64_t head, std::int64_t begin, std::int64_t count,
                         float* rows) const {
  LOWBIT_ASSERT(begin >= 0 && count >= 0 && begin + count <= length_);
  const Sequence& sequence = sequences_[static_cast<std::size_t>(sequence_index)];
  if (rounding_.groups == KvRounding::Groups::kOfTokens) {
    read_runs(sequence, head, begin, begin + count, rows);
  } else {
    read_tokens(sequence, head, begin, begin + count, rows);
  }
}

void RoundedTokens::read_tokens(const Sequence& sequence, std::int64_t head, std::int64_t begin, std::int64_t end,
                                float* rows) const {
  const auto decode = code_decoder(rounding_.bits).of_all;
  const std::int64_t words = row_words();
  const std::int64_t of_head = groups_ / heads_;
  for (std::int64_t token = begin; token < end; ++token, rows += channels_) {
    std::int64_t group = token * groups_ + head * of_head;
    for (std::int64_t channel = 0; channel < channels_; channel += width_, ++group) {
      const CodeStream codes{sequence.words.data() + token * words, head * channels_ + channel};
      const Affine own = affine(sequence, group);
      decode(codes, std::min(width_, channels_ - channel), own.scale, own.minimum, rows + channel);
    }
  }
}

void RoundedTokens::read_runs(const Sequence& sequence, std::int64_t head, std::int64_t begin, std::int64_t end,
                              float* rows) const {
  const auto decode = code_decoder(rounding_.bits).of_each;
  const std::int64_t words = row_words();
  float scales[kChannels];
  float minima[kChannels];
  for (std::int64_t first = begin; first < end;) {
    const std::int64_t last = std::min(end, (first / run() + 1) * run());
    const std::int64_t group = first / run() * groups_ + head * channels_;
    for (std::int64_t channel = 0; channel < channels_; channel += kChannels) {
      const std::int64_t width = std::min(kChannels, channels_ - channel);
      for (std::int64_t i = 0; i < width; ++i) {
        const Affine own = affine(sequence, group + channel + i);
        scales[i] = own.scale;
        minima[i] = own.minimum;
      }
      for (std::int64_t token = first; token < last; ++token) {
        const CodeStream codes{sequence.words.data() + token * words, head * channels_ + channel};
        decode(codes, width, scales, minima, rows + (token - begin) * channels_ + channel);
      }
    }
    first = last;
  }
}

at::Tensor RoundedTokens::values(std::int64_t begin, std::int64_t count) const {
  const auto sequences = static_cast<std::int64_t>(sequences_.size());
  at::Tensor result = make_empty({sequences, heads_, count, channels_}, DType::kFloat32);
  float* out = mutable_values_of<float>(result).data();
  const std::int64_t rows = sequences * heads_ * count;
  parallel_for(rows, std::max<std::int64_t>(1, kNumbersPerPart / channels_), [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t row = from; row < to;) {
      const std::int64_t unit = row / count;
      const std::int64_t token = row % count;
      const std::int64_t tokens = std::min(to - row, count - token);
      read(unit / heads_, unit % heads_, begin + token, tokens, out + row * channels_);
      row += tokens;
    }
  });
  return result;
}

std::int64_t RoundedTokens::bytes() const {
  std::size_t bytes = 0;
  for (const Sequence& sequence : sequences_) {
    bytes += (sequence.words.size() - kCodesBehind) * sizeof(std::uint32_t) + sequence.scales.bytes() +
             sequence.minima.bytes();
  }
  return static_cast<std::int64_t>(bytes);
}

}  // namespace lowbit
