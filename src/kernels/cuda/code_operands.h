#pragma once

#include "kernels/cuda/decode.h"
#include "kernels/cuda/kv_tiles.h"

// Codes of caches and float32 numbers as operands of a matrix instruction of float16. A masked code is a number as it
// stands: float16 below its normal range are whole multiples of 2^-24, so that codes in the lowest ten bits of half a
// word take one instruction for two. A float32 number is the sum of two float16, which lose 2^-22 of it at most, or
// 2^-39 of the largest number that is split together with it.
namespace lowbit::kernels::cuda {

/// What a code in the lowest bits stands for, inverted.
inline constexpr float kCodeUnits = 16777216.0F;

/// Two numbers as the sum of two pairs of float16.
struct TwoTerms {
  std::uint32_t high;
  std::uint32_t low;

  LOWBIT_HOST_DEVICE static TwoTerms of(float a, float b) {
    const std::uint32_t high = pair_of_halves(a, b);
    return {high, pair_of_halves(a - half_as_float(high & 0xFFFFU), b - half_as_float(high >> 16))};
  }
};

/// A power of two that brings numbers of up to `largest` below 2^15, and its inverse.
struct Normal {
  float factor;
  float inverse;

  LOWBIT_HOST_DEVICE explicit Normal(float largest) {
    constexpr std::uint32_t kTop = 14;
    std::uint32_t exponent = bits_of_float(largest) >> 23 & 0xFFU;
    exponent = exponent < kTop + 1 ? kTop + 1 : exponent > 254 ? 254 : exponent;
    factor = float_from_bits((254 + kTop - exponent) << 23);
    inverse = float_from_bits((exponent - kTop) << 23);
  }
};

LOWBIT_HOST_DEVICE inline float magnitude(float x) { return std::fabs(x); }

/// b where a is no number.
LOWBIT_HOST_DEVICE inline float larger(float a, float b) {
#ifdef __CUDA_ARCH__
  return fmaxf(a, b);  // one instruction, that takes magnitudes too
#else
  return a > b ? a : b;
#endif
}

/// Keys: tokens are rows of the left operand, a step's channels its columns, of which lane 4 g + t holds four: two
/// pairs, each in the two halves of a word.
template <int kBits>
struct KeyPlace {
  static constexpr int kStepWords = kBits / 2;
  static constexpr int kHalf = 16 / kBits;  ///< codes in half a word
  /// The second pair stays where it is, unless it would leave the lowest ten bits.
  static constexpr float kSecond = kBits == 8 ? 1.0F : 1.0F / static_cast<float>(1 << kBits);

  LOWBIT_HOST_DEVICE static constexpr int word(int t) { return t * kBits / 8; }
  LOWBIT_HOST_DEVICE static constexpr int shift(int t) { return kBits == 2 ? 4 * t : kBits == 4 ? t % 2 * 8 : 0; }
  /// Of a step: number i % 2 of pair i / 2.
  LOWBIT_HOST_DEVICE static constexpr int channel(int t, int i) {
    return word(t) * 2 * kHalf + shift(t) / kBits + i % 2 * kHalf + i / 2;
  }
  LOWBIT_HOST_DEVICE static std::uint32_t first(std::uint32_t shifted) { return shifted & kMask; }
  LOWBIT_HOST_DEVICE static std::uint32_t second(std::uint32_t shifted) {
    return kBits == 8 ? shifted >> 8 & kMask : shifted & (kMask << (kBits % 8));
  }

 private:
  static constexpr std::uint32_t kMask = ((1U << kBits) - 1U) * 0x00010001U;
};

/// Values: a step's channels are rows, tokens are columns. Lane 4 g + t holds rows g and g + 8, whose codes stand in
/// the two halves of a word; the words of two tokens make a register of each row.
struct ValuePlace {
  int step_words;
  int word;
  int channel;         ///< of row g
  int half;            ///< from there to that of row g + 8
  std::uint32_t low;   ///< selects the byte of row g from both tokens
  std::uint32_t high;  ///< of row g + 8
  std::uint32_t mask;
  float unit;  ///< what a code is multiplied with, inverted

  LOWBIT_HOST_DEVICE ValuePlace(int bits, int g) {
    half = 16 / bits;
    step_words = bits / 2;
    word = g / half;
    const int shift = g % half * bits;
    channel = word * 2 * half + g % half;
    const auto byte = static_cast<std::uint32_t>(shift / 8);
    low = 0x4400U + byte * 0x1111U;
    high = low + 0x2222U;
    mask = (((1U << bits) - 1U) << (shift % 8)) * 0x00010001U;
    unit = kCodeUnits / static_cast<float>(1 << (shift % 8));
  }
};

}  // namespace lowbit::kernels::cuda
