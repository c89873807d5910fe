#pragma once

#include <cstdint>

#include "kernels/wide.h"

// kInt8TwoLevel for many tokens. Scales of two levels make bytes 128 + n (code - zero) of codes once, and a row then is
// one long sum of whole numbers: groups need no end of their own. What 128 adds is taken off with the sum of the
// activations. `Simd` as for `Wide`; activations as Form::kBytes.
namespace lowbit::kernels {

template <typename Simd>
class TwoLevelPanels {
  using Kernels = Wide<Simd>;
  using V = typename Simd::Integers;
  using F = typename Simd::Floats;

 public:
  static constexpr int kTile = Kernels::template kTile<1>;
  /// Whole runs that are decoded together: as many columns as leave the first-level cache room for activations.
  static constexpr int kStretchSteps = 2 * kRunSteps;
  static constexpr int kStretchColumns = kStretchSteps * kStepColumns;
  struct Stretch {
    std::int64_t first_run = 0;
    std::int64_t end_run = 0;
    std::int32_t first_step = 0;
    std::int32_t steps = 0;
  };
  using Codes = std::uint8_t[kStretchColumns * kBlockRows];

  static void panels(const Call& call) {
    alignas(64) Codes codes[kCallBlocks];
    alignas(64) std::int32_t totals[kCallTokens * kCallRows];
    const std::int64_t token_words = Kernels::places(*call.blocks) / 4;
    for_each_stretch(*call.blocks, [&](const Stretch& stretch) {
      for (std::int64_t b = 0; b < call.block_count; ++b) decode(call, b, stretch, codes[b]);
      for (std::int64_t token = 0; token < call.tokens; token += kTile) {
        const std::int64_t left = call.tokens - token;
        const int tokens = static_cast<int>(left < kTile ? left : kTile);
        const auto* words = static_cast<const std::int32_t*>(call.values) + token * token_words +
                            std::int64_t{stretch.first_step} * kStepQuads * tokens;
        for (std::int64_t b = 0; b < call.block_count; b += 2) {
          std::int32_t* target = totals + token * kCallRows + b * kBlockRows;
          if (b + 1 < call.block_count) {
            multiply<kTile, 2>(stretch, codes[b], words, tokens, target);
          } else {
            multiply<kTile, 1>(stretch, codes[b], words, tokens, target);
          }
        }
      }
    });
    finish(call, totals);
  }

  template <typename Use>
  static void for_each_stretch(const Blocks& blocks, Use&& use) {
    Stretch stretch;
    for (std::int64_t r = 0; r < blocks.run_count; ++r) {
      if (stretch.steps + blocks.runs[r].steps > kStretchSteps) {
        use(stretch);
        stretch = {r, r, blocks.runs[r].first_step, 0};
      }
      stretch.end_run = r + 1;
      stretch.steps += blocks.runs[r].steps;
    }
    use(stretch);
  }

  /// [quad][16 rows][4] of a block of the call.
  static void decode(const Call& call, std::int64_t b, const Stretch& stretch, std::uint8_t* codes) {
    const Blocks& blocks = *call.blocks;
    for (std::int64_t r = stretch.first_run; r < stretch.end_run; ++r) {
      const Run& run = blocks.runs[r];
      const V whole = Kernels::load_whole_scales(blocks, call.first_block + b, run.group);
      const V zeros = Kernels::load_zeros(blocks, call.first_block + b, run.group);
      const V factors = Simd::add(whole, Simd::shift_left_wide(whole, 16));
      V offsets = Simd::subtract(Simd::broadcast(kOffset), Simd::multiply_words(whole, zeros));
      offsets = Simd::add(offsets, Simd::shift_left_wide(offsets, 8));
      offsets = Simd::add(offsets, Simd::shift_left_wide(offsets, 16));
      std::uint8_t* target = codes + (run.first_step - stretch.first_step) * kStepColumns * kBlockRows;
      // n code is at most 255: two bytes of a word are multiplied at once.
      Kernels::with_quads(blocks, call.first_block + b, run, [&](std::int32_t quad, V bytes) {
        Simd::store(target + 64 * quad, Simd::add_bytes(Simd::multiply_low_words(bytes, factors), offsets));
      });
    }
  }

  /// `totals` [token][kCallRows] of the bytes become y / s in the call's sums.
  static void finish(const Call& call, const std::int32_t* totals) {
    for (std::int64_t t = 0; t < call.tokens; ++t) {
      std::int32_t sum = 0;
      for (std::int64_t r = 0; r < call.blocks->run_count; ++r) sum += call.run_sums[t * call.blocks->run_count + r];
      const V excess = Simd::broadcast(kOffset * sum);
      for (std::int64_t b = 0; b < call.block_count; ++b) {
        const std::int64_t at = t * kCallRows + b * kBlockRows;
        const F total = Simd::to_floats(Simd::subtract(Simd::load(totals + at), excess));
        const F scales = Kernels::load_row_scales(*call.blocks, call.first_block + b);
        Simd::store_floats(call.sums + at, Simd::multiply_floats(total, scales));
      }
    }
  }

 private:
  static constexpr std::int32_t kOffset = 128;

  // A tile of exactly kTokens tokens, or the one below it that fits, for kBlocks blocks side by side.
  template <int kTokens, int kBlocks>
  static void multiply(const Stretch& stretch, const std::uint8_t* codes, const std::int32_t* words, int tokens,
                       std::int32_t* totals) {
    if constexpr (kTokens > 1) {
      if (tokens < kTokens) return multiply<kTokens - 1, kBlocks>(stretch, codes, words, tokens, totals);
    }
    constexpr int kSums = kTokens * kBlocks;
    Registers<V, kSums> sums;
    const auto place = [&](int i) LOWBIT_INLINE { return totals + i / kBlocks * kCallRows + i % kBlocks * kBlockRows; };
    const bool fresh = stretch.first_run == 0;
    for_each<kSums>([&](auto i)
                        LOWBIT_INLINE { sums.template at<i>() = fresh ? Simd::broadcast(0) : Simd::load(place(i)); });
    const std::int32_t quads = stretch.steps * kStepQuads;
    for (std::int32_t quad = 0; quad < quads; ++quad) {
      Registers<V, kBlocks> bytes;
      for_each<kBlocks>(
          [&](auto b) LOWBIT_INLINE { bytes.template at<b>() = Simd::load(codes + b * sizeof(Codes) + 64 * quad); });
      for_each<kTokens>([&](auto t) LOWBIT_INLINE {
        const V factor = Simd::broadcast(words[quad * kTokens + t]);
        for_each<kBlocks>([&](auto b) LOWBIT_INLINE {
          V& sum = sums.template at<t * kBlocks + b>();
          sum = Simd::dot(sum, bytes.template at<b>(), factor);
        });
      });
    }
    for_each<kSums>([&](auto i) LOWBIT_INLINE { Simd::store(place(i), sums.template at<i>()); });
  }
};

}  // namespace lowbit::kernels
