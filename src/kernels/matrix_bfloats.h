#pragma once

#include <cstdint>

#include "kernels/square_of_sums.h"
#include "kernels/wide.h"

// kBFloat16 on a matrix unit (AMX): tiles of 16 rows of 32 numbers, a step of columns. `Unit` has its operations: the
// processor's, or a plain model of them. Activations are rows of bfloat16 (Form::kBFloats, tokens one by one); a panel
// of code - zero, exact in bfloat16, is a right-hand tile for each step: [pair of columns][16 rows][2].
namespace lowbit::kernels {

template <typename Simd, typename Unit>
class MatrixBFloats {
  using Kernels = Wide<Simd>;
  using F = typename Simd::Floats;
  static constexpr int kTileWords = kStepColumns * kBlockRows;  // bfloat16
  using Panel = std::uint16_t[kRunSteps * kTileWords];

 public:
  static void run(const Call& call) {
    alignas(64) Panel panels[kCallBlocks];
    alignas(64) float totals[kCallTokens * kCallRows];
    Unit unit;
    for (std::int64_t r = 0; r < call.blocks->run_count; ++r) {
      const Run& run = call.blocks->runs[r];
      for (std::int64_t b = 0; b < call.block_count; ++b) decode(*call.blocks, call.first_block + b, run, panels[b]);
      each_square(call, [&](const SquareOfSums& square) { multiply(unit, call, run, square, panels, totals); });
    }
  }

 private:
  static void decode(const Blocks& blocks, std::int64_t block, const Run& run, std::uint16_t* panel) {
    const F zero = Simd::to_floats(Kernels::load_zeros(blocks, block, run.group));
    Kernels::with_quads(blocks, block, run, [&](std::int32_t quad, typename Simd::Integers bytes) {
      for (int pair = 0; pair < 2; ++pair) {
        const F even = Simd::to_floats(Simd::byte_of_words(bytes, 2 * pair));
        const F odd = Simd::to_floats(Simd::byte_of_words(bytes, 2 * pair + 1));
        Simd::store(panel + 2 * kBlockRows * (2 * quad + pair),
                    Simd::pair_bfloats(Simd::subtract_floats(even, zero), Simd::subtract_floats(odd, zero)));
      }
    });
  }

  // Tile registers: four of sums (two token tiles by two blocks), two of activations, two of weights.
  static void multiply(Unit& unit, const Call& call, const Run& run, const SquareOfSums& square, const Panel* panels,
                       float* totals) {
    const auto [token, b, two_tiles, two_blocks] = square;
    alignas(64) std::uint16_t padded[2][kTileTokens * kRunColumns];
    const Left first = left(call, run, token, padded[0]);
    const Left second = two_tiles ? left(call, run, token + kTileTokens, padded[1]) : Left{};
    if (run.opens) {
      unit.clear_sums();
    } else {
      square.load(unit, totals);
    }
    for (std::int32_t step = 0; step < run.steps; ++step) {
      unit.template load<4>(first.rows + step * kStepColumns, first.stride);
      unit.template load<6>(panels[b] + step * kTileWords, 64);
      unit.template dot_bfloats<0, 4, 6>();
      if (two_blocks) {
        unit.template load<7>(panels[b + 1] + step * kTileWords, 64);
        unit.template dot_bfloats<1, 4, 7>();
      }
      if (!two_tiles) continue;
      unit.template load<5>(second.rows + step * kStepColumns, second.stride);
      unit.template dot_bfloats<2, 5, 6>();
      if (two_blocks) unit.template dot_bfloats<3, 5, 7>();
    }
    square.store(unit, totals);
    if (!run.closes) return;
    for (int i = 0; i < (two_blocks ? 2 : 1); ++i) finish(call, run, token, b + i, totals);
  }

  // Up to two tiles of tokens of a block: a group's sums join f.
  static void finish(const Call& call, const Run& run, std::int64_t token, std::int64_t b, const float* totals) {
    const F scales = Kernels::load_scales(*call.blocks, call.first_block + b, run.group);
    for (std::int64_t t = token; t < call.tokens && t < token + 2 * kTileTokens; ++t) {
      const std::int64_t at = t * kCallRows + b * kBlockRows;
      Simd::store_floats(call.sums + at,
                         Simd::fma(Simd::load_floats(totals + at), scales, Simd::load_floats(call.sums + at)));
    }
  }

  struct Left {
    const std::uint16_t* rows;
    std::int64_t stride;  // bytes
  };
  // Sixteen tokens' activations of a run: where they lie, or copied where tokens are missing.
  static Left left(const Call& call, const Run& run, std::int64_t token, std::uint16_t* padded) {
    const std::int64_t places = Kernels::places(*call.blocks);
    const auto* rows =
        static_cast<const std::uint16_t*>(call.values) + token * places + std::int64_t{run.first_step} * kStepColumns;
    if (call.tokens - token >= kTileTokens) return {rows, 2 * places};
    for (std::int64_t t = 0; t < kTileTokens; ++t) {
      for (std::int32_t i = 0; i < run.steps * kStepColumns; ++i) {
        padded[t * kRunColumns + i] = t < call.tokens - token ? rows[t * places + i] : std::uint16_t{0};
      }
    }
    return {padded, 2 * kRunColumns};
  }
};

}  // namespace lowbit::kernels
