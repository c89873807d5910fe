#pragma once

#include "kernels/cuda/decode.h"

// Weights whose codes stand for the numbers of a table: NF4, FP4, FP8.
namespace lowbit::kernels::cuda {

/// A number of the table as a sum of kTermCount numbers of type `Number`, each the nearest to what those before it
/// leave. One term is exact for FP4 and FP8; two bfloat16 terms are within 2^-17 of a number, two float16 terms within
/// 2^-22. The table lies in shared memory: for 4 bits all pairs of codes, so that one word is the operand of two
/// columns.
template <typename Number, int kTermCount>
struct TableNumbers {
  using Operand = Number;
  static constexpr int kTerms = kTermCount;
  static constexpr int kEntries = 256;

  template <int kBits>
  LOWBIT_HOST_DEVICE static constexpr int shared_words() {
    static_assert(kBits == 4 || kBits == 8);
    return kTerms * kEntries;
  }

  /// All threads of a block together.
  template <int kBits, typename Thread>
  LOWBIT_HOST_DEVICE static void prepare_block(Thread& thread, const Matrix& weight, int threads) {
    auto shared = thread.template shared<std::uint32_t>();
    for (int e = thread.index(); e < kEntries; e += threads) {
      LOWBIT_UNROLL
      for (int t = 0; t < kTerms; ++t) {
        std::uint32_t word = 0;
        if constexpr (kBits == 4) {
          word = term_of(weight.table[e % 16], t) | (term_of(weight.table[e / 16], t) << 16);
        } else {
          word = term_of(weight.table[e], t);
        }
        shared.store(t * kEntries + e, word);
      }
    }
    thread.sync();
  }

  template <int kBits, typename Thread>
  LOWBIT_HOST_DEVICE static Quad quad(Thread& thread, const Codes<kBits>& codes, int step, int reg, std::uint32_t,
                                      int term) {
    const std::uint32_t bytes = code_bytes<kBits>(codes, step, reg);
    const auto shared = thread.template shared<std::uint32_t>();
    const int base = term * kEntries;
    const auto at = [&](std::uint32_t code) { return shared.load(base + static_cast<int>(code)); };
    // Columns 0 and 1 stand in bytes 0 and 2, columns 2 and 3 in bytes 1 and 3.
    if constexpr (kBits == 4) {
      const std::uint32_t pairs = bytes | (bytes >> 12);
      return {at(pairs & 0xFFU), at((pairs >> 8) & 0xFFU)};
    } else {
      return {at(bytes & 0xFFU) | (at((bytes >> 16) & 0xFFU) << 16),
              at((bytes >> 8) & 0xFFU) | (at(bytes >> 24) << 16)};
    }
  }

  /// As `Number`'s bits.
  LOWBIT_HOST_DEVICE static std::uint32_t term_of(float value, int term) {
    std::uint16_t bits = Number::from_float(value);
    for (int t = 0; t < term; ++t) {
      value -= Number::to_float(bits);
      bits = Number::from_float(value);
    }
    return bits;
  }
};

}  // namespace lowbit::kernels::cuda
