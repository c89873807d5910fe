#pragma once

#include <cstdint>

#include "kernels/wide.h"

// kBFloat16 on vectors of sixteen rows, for any number of tokens. A step's even and odd columns are two chains of fused
// multiply-adds, as in a matrix unit (matrix_bfloats.h). `Simd` as for `Wide`; activations as Form::kFloats.
namespace lowbit::kernels {

template <typename Simd>
class BFloatPanels {
  using Kernels = Wide<Simd>;
  using F = typename Simd::Floats;

 public:
  static constexpr int kTile = 4;  // with two blocks eight sums, and as many of even and of odd columns

  static void panels(const Call& call) {
    alignas(64) float weights[2][kRunColumns * kBlockRows];
    alignas(64) float totals[kCallTokens * 2 * kBlockRows];
    const std::int64_t token_words = Kernels::places(*call.blocks);
    for (std::int64_t b = 0; b < call.block_count; b += 2) {
      const bool two = b + 1 < call.block_count;
      for (std::int64_t r = 0; r < call.blocks->run_count; ++r) {
        const Run& run = call.blocks->runs[r];
        for (int i = 0; i < (two ? 2 : 1); ++i) decode(*call.blocks, call.first_block + b + i, run, weights[i]);
        for (std::int64_t token = 0; token < call.tokens; token += kTile) {
          const std::int64_t left = call.tokens - token;
          const int tokens = static_cast<int>(left < kTile ? left : kTile);
          const auto* values = static_cast<const float*>(call.values) + token * token_words +
                               std::int64_t{run.first_step} * kStepColumns * tokens;
          const Place place{&call, &run, token, b, totals + token * 2 * kBlockRows};
          if (two) {
            multiply<kTile, 2>(place, weights[0], values, tokens);
          } else {
            multiply<kTile, 1>(place, weights[0], values, tokens);
          }
        }
      }
    }
  }

 private:
  struct Place {
    const Call* call;
    const Run* run;
    std::int64_t token;
    std::int64_t block;
    float* totals;  // [token][2][16]: a group's sums between its runs
  };

  // code - zero, [column][16].
  static void decode(const Blocks& blocks, std::int64_t block, const Run& run, float* weights) {
    const F zero = Simd::to_floats(Kernels::load_zeros(blocks, block, run.group));
    Kernels::with_quads(blocks, block, run, [&](std::int32_t quad, typename Simd::Integers bytes) {
      for (int i = 0; i < 4; ++i) {
        const F code = Simd::to_floats(Simd::byte_of_words(bytes, i));
        Simd::store_floats(weights + (4 * quad + i) * kBlockRows, Simd::subtract_floats(code, zero));
      }
    });
  }

  template <int kTokens, int kBlocks>
  static void multiply(const Place& place, const float* weights, const float* values, int tokens) {
    if constexpr (kTokens > 1) {
      if (tokens < kTokens) return multiply<kTokens - 1, kBlocks>(place, weights, values, tokens);
    }
    constexpr int kSums = kTokens * kBlocks;
    Registers<F, kSums> f;
    for_each<kSums>([&](auto i) LOWBIT_INLINE {
      const float* before = place.totals + (i / kBlocks * 2 + i % kBlocks) * kBlockRows;
      f.template at<i>() = place.run->opens ? Simd::broadcast_float(0.0F) : Simd::load_floats(before);
    });
    for (std::int32_t step = 0; step < place.run->steps; ++step) {
      Registers<F, 2 * kSums> parts;
      for_each<2 * kSums>([&](auto i) LOWBIT_INLINE { parts.template at<i>() = Simd::broadcast_float(0.0F); });
      for (int pair = 0; pair < kStepColumns / 2; ++pair) {
        for_each<2>([&](auto odd) LOWBIT_INLINE {
          const int column = step * kStepColumns + 2 * pair + odd;
          Registers<F, kBlocks> weight;
          for_each<kBlocks>([&](auto b) LOWBIT_INLINE {
            weight.template at<b>() = Simd::load_floats(weights + b * (kRunColumns * kBlockRows) + column * kBlockRows);
          });
          for_each<kTokens>([&](auto t) LOWBIT_INLINE {
            const F value = Simd::broadcast_float(values[column * kTokens + t]);
            for_each<kBlocks>([&](auto b) LOWBIT_INLINE {
              F& part = parts.template at<odd * kSums + t * kBlocks + b>();
              part = Simd::fma(value, weight.template at<b>(), part);
            });
          });
        });
      }
      for_each<kSums>([&](auto i) LOWBIT_INLINE {
        const F both = Simd::add_floats(parts.template at<i>(), parts.template at<kSums + i>());
        f.template at<i>() = Simd::add_floats(f.template at<i>(), both);
      });
    }
    for_each<kSums>([&](auto i) LOWBIT_INLINE { finish(place, i / kBlocks, i % kBlocks, f.template at<i>()); });
  }

  static void finish(const Place& place, int token, int block, F f) {
    if (!place.run->closes) return Simd::store_floats(place.totals + (token * 2 + block) * kBlockRows, f);
    const Call& call = *place.call;
    float* sums = call.sums + (place.token + token) * kCallRows + (place.block + block) * kBlockRows;
    const F scales = Kernels::load_scales(*call.blocks, call.first_block + place.block + block, place.run->group);
    Simd::store_floats(sums, Simd::fma(f, scales, Simd::load_floats(sums)));
  }
};

}  // namespace lowbit::kernels
