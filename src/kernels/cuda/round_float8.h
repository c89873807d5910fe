#pragma once

#include "kernels/cuda/float8.h"
#include "kernels/cuda/token_rows.h"

// Activations rounded to E4M3 with a scale for each token.
namespace lowbit::kernels::cuda {

/// scale = max |x| / 448 of a token, 1 where that is zero; code = the E4M3 number nearest to x / scale, ties to even.
/// Where an x is not finite, the scale is NaN and all codes are zero. Codes are written as one of two things.
struct RoundFloat8Call : TokenRowsCall {
  float* scales;  ///< [tokens]
  /// Null, or the codes as bfloat16, which holds each of them: [tokens][columns], for columns that have not moved.
  std::uint16_t* numbers;
  /// For `HopperFloat8`, where `numbers` is null: [blocks of so many tokens][chunks][operands] as hopper_bytes_input.h
  /// lays them out, four places side by side in the order of `byte_of_column`; zero in the steps that the last chunk
  /// lacks, and as they were for tokens that there are not.
  std::uint8_t* codes;
  std::int32_t block_tokens;
};

template <int kTokenWarps>
class RoundFloat8 : TokenRows<kTokenWarps> {
  using Rows = TokenRows<kTokenWarps>;

 public:
  using Rows::kResidentBlocks;
  using Rows::kThreads;
  using Rows::kTokens;
  using Rows::kTokenThreads;

  static constexpr int kSharedWords = kTokens * kTokenWarps;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const RoundFloat8Call& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    const RoundFloat8 own(thread, call);
    const std::int64_t row = own.token_ * call.stride;
    const auto load = [&](int eight) { return own.load_row(thread, call, call.input, row, eight); };
    Eight kept[Rows::kKept] = {};
    std::uint32_t largest = 0;
    own.template for_eights<true>(call, kept, load, [&](int, const Eight& values) {
      largest = larger_of(largest, Rows::largest_magnitude(values));
    });
    own.share_largest(thread, largest);
    thread.sync();
    if (!own.present_) return;
    const float scale = scale_of(own.largest_of_token(thread));
    if (own.within_ == 0) call.scales[own.token_] = scale;
    own.template for_eights<false>(call, kept, load, [&](int eight, const Eight& values) {
      if (eight < Rows::eights(call)) own.store(call, eight, values, scale);
    });
    if (call.numbers == nullptr) own.lay_out_end(call, call.block_tokens, call.codes);
  }

 private:
  template <typename Thread>
  LOWBIT_HOST_DEVICE RoundFloat8(Thread& thread, const RoundFloat8Call& call) : Rows(thread, call, kTokenWarps) {}

  LOWBIT_HOST_DEVICE static float scale_of(std::uint32_t largest) {
    if (largest >= kInfiniteMagnitude) return float_from_bits(0x7FC00000U);
    const float scale = quotient(float_from_bits(largest), kLargestE4m3);
    return scale > 0.0F ? scale : 1.0F;
  }

  LOWBIT_HOST_DEVICE void store(const RoundFloat8Call& call, int eight, const Eight& values, float scale) const {
    std::uint32_t pairs[4] = {};  // of the first columns, and of the last, of each four: 0 and 2, 1 and 3
    if (scale == scale) {
      LOWBIT_UNROLL
      for (int p = 0; p < 4; ++p) {
        const int first = p / 2 * 4 + p % 2;
        pairs[p] = pair_of_e4m3(quotient(values.x[first], scale), quotient(values.x[first + 2], scale));
      }
    }
    static_assert(byte_of_column(0) == 0 && byte_of_column(2) == 1 && byte_of_column(1) == 2);
    if (call.numbers == nullptr) {
      Rows::lay_out(call, call.block_tokens, call.codes, eight, {pairs[0] | pairs[1] << 16, pairs[2] | pairs[3] << 16});
    } else {
      store_numbers(call, eight, pairs);
    }
  }

  LOWBIT_HOST_DEVICE void store_numbers(const RoundFloat8Call& call, int eight, const std::uint32_t (&pairs)[4]) const {
    Eight numbers;
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) numbers.x[i] = e4m3_as_float(pairs[i / 4 * 2 + i % 2] >> (i % 4 / 2 * 8) & 0xFFU);
    std::uint16_t* to = call.numbers + std::int64_t{this->token_} * call.columns + eight * 8;
    if (eight * 8 + 8 <= call.columns && reinterpret_cast<std::uintptr_t>(to) % 16 == 0) {
      return store_eight(to, numbers);
    }
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) {
      if (eight * 8 + i < call.columns) to[i] = as_bfloat16(numbers.x[i]);
    }
  }
};

}  // namespace lowbit::kernels::cuda
