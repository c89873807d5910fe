#pragma once

#include "kernels/cuda/arithmetic.h"
#include "kernels/cuda/layout.h"

// From a lane's packed words to the registers of a matrix instruction. No decoding rounds: code - zero is a whole
// number of at most 255, which float16 and bfloat16 hold exactly, and scales are multiplied into float32 sums.
namespace lowbit::kernels::cuda {

/// What a lane loads of one chunk: for 3 bits four words of the first plane and two of the second.
template <int kBits>
struct Codes {
  std::uint32_t words[2 * kBits];
};

/// Four codes of register 2 i + h, a byte each, in the order of `byte_of_column`.
template <int kBits>
LOWBIT_HOST_DEVICE inline std::uint32_t code_bytes(const Codes<kBits>& codes, int step, int reg) {
  const int quad = 4 * step + reg;
  if constexpr (kBits == 8) {
    return codes.words[quad];
  } else if constexpr (kBits == 4) {
    return (codes.words[quad / 2] >> (quad % 2 * 4)) & 0x0F0F0F0FU;
  } else {
    const std::uint32_t two = (codes.words[quad / 4] >> (quad % 4 * 2)) & 0x03030303U;
    if constexpr (kBits == 2) return two;
    return two | (((codes.words[4 + quad / 8] >> (quad % 8)) & 0x01010101U) << 2);
  }
}

/// Where the codes of register number `quad` of a chunk lie: bits `shift` and following of each byte of a word.
template <int kBits>
struct CodePlace {
  static constexpr int kQuads = 8 / first_plane_bits(kBits);  ///< in a word
  static constexpr std::uint32_t kMask = (1U << first_plane_bits(kBits)) - 1U;
  int word;
  int shift;
  LOWBIT_HOST_DEVICE constexpr explicit CodePlace(int quad)
      : word(quad / kQuads), shift(quad % kQuads * first_plane_bits(kBits)) {}
};

/// code - zero of four columns as 16-bit floats: the first two, and the last two.
struct Quad {
  std::uint32_t first;
  std::uint32_t last;
};

/// What codes of whole zero points have in common: one number of the type `Number` stands for each, and nothing need be
/// prepared in shared memory. The first two columns of a register are its bytes 0 and 2, the last two 1 and 3: a mask
/// makes two codes of it that are 16 bits apart.
template <typename Number>
struct WholeNumbers {
  using Operand = Number;
  static constexpr int kTerms = 1;
  template <int kBits>
  LOWBIT_HOST_DEVICE static constexpr int shared_words() {
    return 0;
  }
  template <int kBits, typename Thread>
  LOWBIT_HOST_DEVICE static void prepare_block(Thread&, const Matrix&, int) {}
  template <int kBits, typename Thread>
  LOWBIT_HOST_DEVICE static Quad quad(Thread&, const Codes<kBits>& codes, int step, int reg, std::uint32_t zero, int) {
    if constexpr (kBits == 8) {
      return Number::decode_bytes(codes.words[4 * step + reg], zero);
    } else if constexpr (kBits == 3) {
      const std::uint32_t bytes = code_bytes<kBits>(codes, step, reg);
      return {Number::template decode_pair<0, 0x00FF00FFU>(bytes, zero),
              Number::template decode_pair<0, 0x00FF00FFU>(bytes >> 8, zero)};
    } else {
      return Number::template decode_word<kBits>(codes.words[CodePlace<kBits>(4 * step + reg).word],
                                                 CodePlace<kBits>(4 * step + reg).shift, zero);
    }
  }
};

/// float16: a code of up to 8 bits, shifted by at most 6, is 1024 + code 2^shift, from which a product with 2^-shift
/// and a difference make code - zero exactly.
struct Float16 : WholeNumbers<Float16> {
  static constexpr int kKind = 0;
  LOWBIT_HOST_DEVICE static std::uint32_t both(std::uint32_t half) { return half | (half << 16); }

  template <int kShift, std::uint32_t kMask>
  LOWBIT_HOST_DEVICE static std::uint32_t decode_pair(std::uint32_t word, std::uint32_t zero) {
    const std::uint32_t biased = masked_with<kMask, 0x64006400U>(word);
    const std::uint32_t biased_zero = permute_bytes(zero, 0x64U, 0x4040U);  // 1024 + zero
    if constexpr (kShift == 0) {
      return subtract_halves(biased, biased_zero);
    } else {
      constexpr std::uint32_t kScale = 0x3C00U - (kShift << 10);                           // 2^-shift
      constexpr std::uint32_t kRest[] = {0, 0, 0x6200U, 0, 0x6380U, 0, 0x63E0U};           // 1024 - 1024 / 2^shift
      const std::uint32_t minus_zero = subtract_halves(both(kRest[kShift]), biased_zero);  // -(1024 / 2^shift + zero)
      return fused_halves(biased, both(kScale), minus_zero);
    }
  }
  template <int kBits>
  LOWBIT_HOST_DEVICE static Quad decode_word(std::uint32_t word, int shift, std::uint32_t zero) {
    const auto decode = [&]<int kShift>() -> Quad {
      constexpr std::uint32_t kMask = CodePlace<kBits>::kMask << kShift | CodePlace<kBits>::kMask << (kShift + 16);
      return {decode_pair<kShift, kMask>(word, zero), decode_pair<kShift, kMask>(word >> 8, zero)};
    };
    switch (shift) {  // known where steps are unrolled
      case 0: return decode.template operator()<0>();
      case 2: return decode.template operator()<2>();
      case 4: return decode.template operator()<4>();
      default: return decode.template operator()<6>();
    }
  }
  LOWBIT_HOST_DEVICE static Quad decode_bytes(std::uint32_t bytes, std::uint32_t zero) {
    const std::uint32_t biased_zero = permute_bytes(zero, 0x64U, 0x4040U);
    return {subtract_halves(permute_bytes(bytes, 0x64646464U, 0x4240U), biased_zero),
            subtract_halves(permute_bytes(bytes, 0x64646464U, 0x4341U), biased_zero)};
  }
  LOWBIT_HOST_DEVICE static float to_float(std::uint32_t bits) { return half_as_float(bits); }
  LOWBIT_HOST_DEVICE static std::uint16_t from_float(float value) { return as_half(value); }
  LOWBIT_HOST_DEVICE static std::uint32_t pair(float low, float high) { return pair_of_halves(low, high); }
};

/// bfloat16: a code below 128 is 128 + code, which loses 128 + zero exactly. There is no room for 8 bits beside a
/// leading one, so their differences are made in float32: a byte below 0x4B0000 is 2^23 + byte.
struct BFloat16 : WholeNumbers<BFloat16> {
  static constexpr int kKind = 1;

  template <int kShift, std::uint32_t kMask>
  LOWBIT_HOST_DEVICE static std::uint32_t decode_pair(std::uint32_t word, std::uint32_t zero) {
    static_assert(kShift == 0);
    const std::uint32_t minus_zero = 0xC300U | zero;  // -(128 + zero)
    return add_bfloat16(masked_with<kMask, 0x43004300U>(word), minus_zero | (minus_zero << 16));
  }
  template <int kBits>
  LOWBIT_HOST_DEVICE static Quad decode_word(std::uint32_t word, int shift, std::uint32_t zero) {
    constexpr std::uint32_t kMask = CodePlace<kBits>::kMask | CodePlace<kBits>::kMask << 16;
    return {decode_pair<0, kMask>(word >> shift, zero), decode_pair<0, kMask>(word >> (shift + 8), zero)};
  }
  LOWBIT_HOST_DEVICE static Quad decode_bytes(std::uint32_t bytes, std::uint32_t zero) {
    const float bias = float_from_bits(0x4B000000U | zero);
    const float a = float_from_bits(permute_bytes(bytes, 0x4B000000U, 0x7440U)) - bias;
    const float b = float_from_bits(permute_bytes(bytes, 0x4B000000U, 0x7442U)) - bias;
    const float c = float_from_bits(permute_bytes(bytes, 0x4B000000U, 0x7441U)) - bias;
    const float d = float_from_bits(permute_bytes(bytes, 0x4B000000U, 0x7443U)) - bias;
    return {pair_of_bfloat16(a, b), pair_of_bfloat16(c, d)};
  }
  LOWBIT_HOST_DEVICE static float to_float(std::uint32_t bits) { return bfloat16_as_float(bits); }
  LOWBIT_HOST_DEVICE static std::uint16_t from_float(float value) { return as_bfloat16(value); }
  LOWBIT_HOST_DEVICE static std::uint32_t pair(float low, float high) { return pair_of_bfloat16(low, high); }
};

/// A scale times two numbers, each rounded from float32 once.
template <typename Number>
LOWBIT_HOST_DEVICE inline std::uint32_t scaled_pair(float scale, std::uint32_t pair) {
  return Number::pair(scale * Number::to_float(pair & 0xFFFFU), scale * Number::to_float(pair >> 16));
}

}  // namespace lowbit::kernels::cuda
