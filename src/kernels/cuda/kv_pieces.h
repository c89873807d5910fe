#pragma once

#include <utility>

#include "kernels/cuda/kv_store.h"
#include "kernels/cuda/load_eight.h"

// How a lane reads a cache: sixteen channels of a token side by side, from one load of 4, 8 or 16 bytes.
namespace lowbit::kernels::cuda {

inline constexpr int kPieceChannels = 16;

/// Lanes that read a token of a head.
LOWBIT_HOST_DEVICE constexpr int lanes_of_token(int channels) {
  int lanes = 1;
  while (lanes * kPieceChannels < channels) lanes *= 2;
  return lanes;
}

struct Piece {
  float x[kPieceChannels];
};

/// Codes as floats. In half a word those of `kBits` bits begin at bits 0, kBits, ..: with the exponent that makes such
/// a bit 1 above them they are 2^(23 - bit) + code, which loses the first term exactly.
template <int kBits, int kIndex>
LOWBIT_HOST_DEVICE inline float code_number(const std::uint32_t* words) {
  constexpr int kInHalf = 16 / kBits;
  constexpr int kBit = kIndex % kInHalf * kBits;
  constexpr std::uint32_t kMask = ((1U << kBits) - 1U) << kBit;
  constexpr std::uint32_t kBias = static_cast<std::uint32_t>(127 + 23 - kBit) << 23;
  const std::uint32_t word = words[kIndex / (2 * kInHalf)];
  return float_from_bits(masked_with<kMask, kBias>(kIndex / kInHalf % 2 != 0 ? word >> 16 : word)) -
         float_from_bits(kBias);
}

template <int kBits, int... kIndices>
LOWBIT_HOST_DEVICE inline Piece code_numbers(const std::uint32_t* words,
                                             std::integer_sequence<int, kIndices...> /*all*/) {
  return {{code_number<kBits, kIndices>(words)...}};
}

/// What codes stand for: code scale + minimum.
struct Affine {
  float scale;
  float minimum;
};
/// Of eight channels.
struct EightAffine {
  Eight scale;
  Eight minimum;
};

/// Where a piece's numbers come from in some tokens side by side.
enum class PieceForm {
  kOfTokens,    ///< codes, whose scales are those of the channels in all of these tokens
  kOfChannels,  ///< codes, whose scale is one for each token
  kAny,         ///< numbers that are kept as they came, or codes of other groups: one by one
};

/// A lane's piece of every token of one head. `kBits` is the most that codes have.
template <int kBits>
class KvPieces {
 public:
  struct Words {
    std::uint32_t x[kBits / 2];
  };

  LOWBIT_HOST_DEVICE KvPieces(const KvStore& store, std::int64_t row, int piece)
      : store_(store), row_(row), channel_(piece * kPieceChannels), count_(store.channels - channel_) {
    count_ = count_ < 0 ? 0 : count_ > kPieceChannels ? kPieceChannels : count_;
    const std::uintptr_t bytes = static_cast<std::uintptr_t>(store.bits) * 2;  // of a piece
    const auto base = reinterpret_cast<std::uintptr_t>(store.words);
    vector_ = count_ == kPieceChannels && base % bytes == 0 &&
              static_cast<std::uintptr_t>(store.row_words()) * 4 % bytes == 0;
  }

  /// Of tokens below `end`, the first of which is a multiple of 32.
  LOWBIT_HOST_DEVICE PieceForm form(int end) const {
    if (end > store_.rounded) return PieceForm::kAny;
    if (store_.of_tokens != 0) return store_.group % 32 == 0 ? PieceForm::kOfTokens : PieceForm::kAny;
    const bool of_piece = store_.group % kPieceChannels == 0 || store_.group >= store_.channels;
    return of_piece ? PieceForm::kOfChannels : PieceForm::kAny;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE Words load(Thread& thread, int token) const {
    Words words = {};
    const std::uint32_t* from =
        store_.words + (row_ * store_.capacity + token) * store_.row_words() + channel_ * store_.bits / 32;
    if (!vector_) {
      LOWBIT_UNROLL
      for (int k = 0; k < kBits / 2; ++k) {
        if (k < count_ * store_.bits / 32) words.x[k] = thread.read4(from + k);
      }
      return words;
    }
    if (store_.bits == 2) {
      words.x[0] = thread.read4(from);
    } else if (kBits >= 4 && store_.bits == 4) {
      const Word2 both = thread.read8(from);
      words.x[0] = both.x[0];
      words.x[kBits / 2 > 1 ? 1 : 0] = both.x[1];
    } else if constexpr (kBits == 8) {
      const Word4 all = thread.read16(from);
      LOWBIT_UNROLL
      for (int k = 0; k < 4; ++k) words.x[k] = all.x[k];
    }
    return words;
  }

  /// The codes themselves.
  LOWBIT_HOST_DEVICE Piece codes(const Words& words) const {
    constexpr std::make_integer_sequence<int, kPieceChannels> kAll;
    if constexpr (kBits == 8) {
      if (store_.bits == 8) return code_numbers<8>(words.x, kAll);
    }
    if constexpr (kBits >= 4) {
      if (store_.bits == 4) return code_numbers<4>(words.x, kAll);
    }
    return code_numbers<2>(words.x, kAll);
  }

  /// For kOfChannels.
  LOWBIT_HOST_DEVICE Affine affine(int token) const {
    if (count_ == 0) return {0.0F, 0.0F};
    const std::int64_t at = store_.scale_at(row_, token, channel_);
    const float scale = store_.number(store_.scales, at);
    return {scale, store_.minima != nullptr ? store_.number(store_.minima, at) : scale * lowest_code()};
  }

  /// For kOfTokens: of one half of the piece.
  template <typename Thread>
  LOWBIT_HOST_DEVICE EightAffine affine_of_channels(Thread& thread, int token, int half) const {
    const std::int64_t at = store_.scale_at(row_, token, channel_ + half * 8);
    EightAffine result = {scales(thread, store_.scales, at, half), {}};
    if (store_.minima != nullptr) {
      result.minimum = scales(thread, store_.minima, at, half);
    } else {
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) result.minimum.x[i] = result.scale.x[i] * lowest_code();
    }
    return result;
  }

  /// Whatever it is: the numbers.
  LOWBIT_HOST_DEVICE Piece numbers(int token) const {
    Piece result;
    LOWBIT_UNROLL
    for (int i = 0; i < kPieceChannels; ++i) {
      result.x[i] = i < count_ ? store_.value(row_, token, channel_ + i) : 0.0F;
    }
    return result;
  }

 private:
  // Without minima: what the lowest code stands for, in steps.
  LOWBIT_HOST_DEVICE float lowest_code() const { return -static_cast<float>(1 << (store_.bits - 1)); }

  template <typename Thread>
  LOWBIT_HOST_DEVICE Eight scales(Thread& thread, const void* base, std::int64_t at, int half) const {
    Eight result;
    const auto* numbers = static_cast<const std::uint16_t*>(base) + at;
    const bool whole = count_ >= half * 8 + 8 && store_.scale_kind != ScaleKind::kFloat32 &&
                       reinterpret_cast<std::uintptr_t>(numbers) % 16 == 0;
    if (!whole) {
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) result.x[i] = half * 8 + i < count_ ? store_.number(base, at + i) : 0.0F;
      return result;
    }
    const auto kind = store_.scale_kind == ScaleKind::kFloat16 ? NumberKind::kFloat16 : NumberKind::kBFloat16;
    return load_eight(thread, kind, base, at);
  }

  const KvStore& store_;
  std::int64_t row_;
  int channel_;
  int count_;  // of the sixteen channels that the head has
  bool vector_;
};

}  // namespace lowbit::kernels::cuda
