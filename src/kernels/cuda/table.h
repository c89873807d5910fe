#pragma once

#include "kernels/cuda/decode.h"

// Weights whose codes stand for the numbers of a table: NF4, FP4, FP8.
namespace lowbit::kernels::cuda {

/// A number of the table as a sum of kTermCount numbers of type `Number`, each the nearest to what those before it
/// leave. One term is exact for FP4 and FP8; two bfloat16 terms are within 2^-17 of a number, two float16 terms within
/// 2^-22. The table lies in shared memory, a number's terms in one word; that of 4 bits once for each lane, in a bank
/// of its own, so that lanes never wait for each other.
template <typename Number, int kTermCount>
struct TableNumbers {
  using Operand = Number;
  static constexpr int kTerms = kTermCount;
  static_assert(kTerms <= 2);

  /// Copies of the table.
  template <int kBits>
  static constexpr int kCopies = kBits == 4 ? kLanes : 1;

  template <int kBits>
  LOWBIT_HOST_DEVICE static constexpr int shared_words() {
    static_assert(kBits == 4 || kBits == 8);
    return (1 << kBits) * kCopies<kBits>;
  }

  /// All threads of a block together.
  template <int kBits, typename Thread>
  LOWBIT_HOST_DEVICE static void prepare_block(Thread& thread, const Matrix& weight, int threads) {
    auto shared = thread.template shared<std::uint32_t>();
    for (int e = thread.index(); e < shared_words<kBits>(); e += threads) {
      const float value = weight.table[e / kCopies<kBits>];
      std::uint32_t word = term_of(value, 0);
      if constexpr (kTerms == 2) word |= term_of(value, 1) << 16;
      shared.store(e, word);
    }
    thread.sync();
  }

  template <int kBits, typename Thread>
  LOWBIT_HOST_DEVICE static Quad quad(Thread& thread, const Codes<kBits>& codes, int step, int reg, std::uint32_t,
                                      int term) {
    const std::uint32_t bytes = code_bytes<kBits>(codes, step, reg);
    const auto shared = thread.template shared<std::uint32_t>();
    const auto copy = static_cast<std::uint32_t>(kBits == 4 ? thread.index() % kLanes : 0);
    const auto at = [&](int byte) {
      const std::uint32_t code = (bytes >> (8 * byte)) & ((1U << kBits) - 1U);
      return shared.load(static_cast<int>(code * kCopies<kBits> | copy));
    };
    // Columns 0 and 1 stand in bytes 0 and 2, columns 2 and 3 in bytes 1 and 3.
    const std::uint32_t halves = term == 0 ? 0x5410U : 0x7632U;
    return {permute_bytes(at(0), at(2), halves), permute_bytes(at(1), at(3), halves)};
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
