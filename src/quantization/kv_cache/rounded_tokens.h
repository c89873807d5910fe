#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lowbit/formats/grid.h"
#include "lowbit/tensor/decode.h"

namespace lowbit {

/// How keys or values are rounded. A group of numbers shares a scale, and a minimum unless it is symmetric; both are
/// rounded to their storage type before any code is chosen. Asymmetric, as in KIVI: s = (max - min) / (2^b - 1),
/// code = round((x - min) / s), x' = code s + min. Symmetric: s = max|x| / (2^(b-1) - 1), x' = (code - 2^(b-1)) s.
/// Groups without spread have the scale 0 and come back as their minimum.
struct KvRounding {
  enum class Groups {
    kOfChannels,  ///< neighbouring channels of one head and token ("per token"); a head's last group may be ragged
    kOfTokens,    ///< consecutive tokens of one channel ("per channel")
  };
  Groups groups = Groups::kOfChannels;
  int bits = 4;
  std::int64_t group = 32;  ///< -1: all channels of the head, for kOfChannels only
  bool symmetric = false;
  ScaleType scale = ScaleType::kFloat16;  ///< float16, bfloat16 or float32

  /// Bits that a number takes with its share of scale and minimum, in heads of so many channels.
  [[nodiscard]] double bits_per_number(std::int64_t channels) const;
};

/// Numbers in the storage type of scales, one behind the other.
class StoredScales {
 public:
  explicit StoredScales(ScaleType type) : type_(type) {}
  /// Returns what is stored. Throws `kData` for a number beyond the type's range.
  float add(float number);
  [[nodiscard]] float operator[](std::size_t index) const;
  [[nodiscard]] std::size_t bytes() const {
    return halves_.size() * sizeof(std::uint16_t) + floats_.size() * sizeof(float);
  }

 private:
  ScaleType type_;
  std::vector<std::uint16_t> halves_;  // of float16 and bfloat16
  std::vector<float> floats_;
};

/// The rounded keys or values of a layer in main memory: codes packed without gaps between heads, each token on a
/// boundary of 32 bits, with scales and minima.
class RoundedTokens : public RoundedRows {
 public:
  explicit RoundedTokens(const KvRounding& rounding) : rounding_(rounding) {}
  /// Rounds x [batch, heads, tokens, channels], float32 and in main memory. Groups of tokens must come whole and shapes
  /// fit what is there (`kInternal`); throws `kData` for numbers that are not finite or too large for the scales.
  void append(const at::Tensor& x);
  /// The numbers that tokens begin .. begin + count - 1 of a head stand for, [count, channels].
  void read(std::int64_t sequence, std::int64_t head, std::int64_t begin, std::int64_t count,
            float* rows) const override;
  /// Those of all heads, [batch, heads, count, channels] float32.
  [[nodiscard]] at::Tensor values(std::int64_t begin, std::int64_t count) const;
  [[nodiscard]] std::int64_t length() const { return length_; }
  /// Of codes, scales and minima.
  [[nodiscard]] std::int64_t bytes() const;

 private:
  struct Sequence {
    std::vector<std::uint32_t> words;  // [tokens, words of a token], and kCodesBehind
    StoredScales scales, minima;       // [runs, groups of a run]
  };
  // Tokens whose groups are complete together.
  [[nodiscard]] std::int64_t run() const {
    return rounding_.groups == KvRounding::Groups::kOfTokens ? rounding_.group : 1;
  }
  [[nodiscard]] std::int64_t row() const { return heads_ * channels_; }
  [[nodiscard]] std::int64_t row_words() const;
  void set_shape(const at::Tensor& x);
  void check_shape(const at::Tensor& x) const;
  void encode_run(const float* x, std::int64_t head_stride, Sequence& sequence);
  struct Affine {
    float scale, minimum;
  };
  [[nodiscard]] Affine affine(const Sequence& sequence, std::int64_t group) const;
  // Tokens begin .. end - 1 of a head, whose groups are of channels or of tokens.
  void read_tokens(const Sequence& sequence, std::int64_t head, std::int64_t begin, std::int64_t end,
                   float* rows) const;
  void read_runs(const Sequence& sequence, std::int64_t head, std::int64_t begin, std::int64_t end, float* rows) const;

  KvRounding rounding_;
  std::int64_t heads_ = 0;
  std::int64_t channels_ = 0;
  std::vector<std::int64_t> group_of_;  // the group within its run of each number of a token, [heads * channels]
  std::int64_t width_ = 1;              // channels of a group
  std::int64_t groups_ = 0;             // of a run
  std::vector<Sequence> sequences_;
  std::int64_t length_ = 0;
};

}  // namespace lowbit
