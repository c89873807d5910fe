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

/// code - zero of four columns as 16-bit floats: the first two, and the last two.
struct Quad {
  std::uint32_t first;
  std::uint32_t last;
};

/// What codes of whole zero points have in common: one number of the type `Number` stands for each, and nothing need be
/// prepared in shared memory.
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
  LOWBIT_HOST_DEVICE static Quad quad(Thread&, std::uint32_t bytes, std::uint32_t zero, int) {
    return Number::template decode<kBits>(bytes, Number::prepare(zero));
  }
};

/// float16: a byte below 0x64 is 1024 + byte, which loses 1024 + zero exactly.
struct Float16 : WholeNumbers<Float16> {
  static constexpr int kKind = 0;
  struct Zero {
    std::uint32_t pair;
  };
  LOWBIT_HOST_DEVICE static Zero prepare(std::uint32_t zero) { return {0x64006400U | zero | (zero << 16)}; }
  template <int kBits>
  LOWBIT_HOST_DEVICE static Quad decode(std::uint32_t bytes, Zero zero) {
    return {subtract_halves(permute_bytes(bytes, 0x64646464U, 0x4240U), zero.pair),
            subtract_halves(permute_bytes(bytes, 0x64646464U, 0x4341U), zero.pair)};
  }
  LOWBIT_HOST_DEVICE static float to_float(std::uint32_t bits) { return half_as_float(bits); }
  LOWBIT_HOST_DEVICE static std::uint16_t from_float(float value) { return as_half(value); }
};

/// bfloat16 has no room for 8 bits beside a leading one, so differences are made in float32: a byte below 0x4B0000 is
/// 2^23 + byte.
struct BFloat16 : WholeNumbers<BFloat16> {
  static constexpr int kKind = 1;
  struct Zero {
    float value;
  };
  LOWBIT_HOST_DEVICE static Zero prepare(std::uint32_t zero) { return {float_from_bits(0x4B000000U | zero)}; }
  template <int kBits>
  LOWBIT_HOST_DEVICE static Quad decode(std::uint32_t bytes, Zero zero) {
    const float a = float_from_bits(permute_bytes(bytes, 0x4B000000U, 0x7440U)) - zero.value;
    const float b = float_from_bits(permute_bytes(bytes, 0x4B000000U, 0x7442U)) - zero.value;
    const float c = float_from_bits(permute_bytes(bytes, 0x4B000000U, 0x7441U)) - zero.value;
    const float d = float_from_bits(permute_bytes(bytes, 0x4B000000U, 0x7443U)) - zero.value;
    return {pair_of_bfloat16(a, b), pair_of_bfloat16(c, d)};
  }
  LOWBIT_HOST_DEVICE static float to_float(std::uint32_t bits) { return bfloat16_as_float(bits); }
  LOWBIT_HOST_DEVICE static std::uint16_t from_float(float value) { return as_bfloat16(value); }
};

}  // namespace lowbit::kernels::cuda
