#pragma once

#include <cstdint>

#include "kernels/square_of_sums.h"
#include "kernels/two_level_panels.h"
#include "kernels/wide.h"

// Products on a matrix unit (AMX): tiles of 16 rows of 64 bytes. `Unit` has its operations: the processor's, or a plain
// model of them. Activations are rows of bytes (Form::kBytes, tokens one by one); a panel of bytes, [quad][16 rows][4],
// is a right-hand tile as it lies, two steps of columns at a time.
namespace lowbit::kernels {

template <typename Simd, typename Unit>
class MatrixTiles {
  using Panels = TwoLevelPanels<Simd>;

  // Columns that are multiplied in one go.
  struct Part {
    std::int32_t first_step;
    std::int32_t steps;
  };
  // Tile registers: four of sums (two token tiles by two blocks), two of activations, two of codes.
  struct Left {
    const std::int8_t* rows;
    std::int64_t stride;
  };

 public:
  /// kInt8.
  static void run(const Call& call) {
    alignas(64) std::uint8_t codes[kCallBlocks][kRunColumns * kBlockRows];
    alignas(64) std::int32_t totals[kCallTokens * kCallRows];
    Unit unit;
    for (std::int64_t r = 0; r < call.blocks->run_count; ++r) {
      const Part part{call.blocks->runs[r].first_step, call.blocks->runs[r].steps};
      for (std::int64_t b = 0; b < call.block_count; ++b) {
        Wide<Simd>::decode_codes(*call.blocks, call.first_block + b, call.blocks->runs[r], codes[b]);
        fill_up(part, codes[b]);
      }
      each_square(call, [&](const SquareOfSums& square) {
        const auto [token, b, two_tiles, two_blocks] = square;
        unit.clear_sums();
        multiply<kRunColumns>(unit, call, part, square, codes);
        add<0>(unit, call, r, token, b, totals);
        if (two_blocks) add<1>(unit, call, r, token, b + 1, totals);
        if (two_tiles) add<2>(unit, call, r, token + kTileTokens, b, totals);
        if (two_tiles && two_blocks) add<3>(unit, call, r, token + kTileTokens, b + 1, totals);
      });
    }
  }

  /// kInt8TwoLevel: sums go on from where the columns before left them.
  static void run_two_level(const Call& call) {
    alignas(64) typename Panels::Codes codes[kCallBlocks];
    alignas(64) std::int32_t totals[kCallTokens * kCallRows];
    Unit unit;
    Panels::for_each_stretch(*call.blocks, [&](const typename Panels::Stretch& stretch) {
      const Part part{stretch.first_step, stretch.steps};
      for (std::int64_t b = 0; b < call.block_count; ++b) {
        Panels::decode(call, b, stretch, codes[b]);
        fill_up(part, codes[b]);
      }
      each_square(call, [&](const SquareOfSums& square) {
        if (stretch.first_run == 0) {
          unit.clear_sums();
        } else {
          square.load(unit, totals);
        }
        multiply<Panels::kStretchColumns>(unit, call, part, square, codes);
        square.store(unit, totals);
      });
    });
    Panels::finish(call, totals);
  }

 private:
  // An odd last step is filled up with zeros, here and in the activations.
  static void fill_up(const Part& part, std::uint8_t* codes) {
    if (part.steps % 2 == 0) return;
    for (int quad = 0; quad < kStepQuads; ++quad) {
      Simd::store(codes + 64 * (part.steps * kStepQuads + quad), Simd::broadcast(0));
    }
  }

  // `codes` of the call's blocks.
  template <int kColumns>
  static void multiply(Unit& unit, const Call& call, const Part& part, const SquareOfSums& square,
                       const std::uint8_t (*codes)[kColumns * kBlockRows]) {
    alignas(64) std::int8_t padded[2][kTileTokens * kColumns];
    const auto [token, b, two_tiles, two_blocks] = square;
    const Left first = left<kColumns>(call, part, token, padded[0]);
    const Left second = two_tiles ? left<kColumns>(call, part, token + kTileTokens, padded[1]) : Left{};
    for (std::int32_t step = 0; step < part.steps; step += 2) {
      const std::int64_t column = std::int64_t{step} * kStepColumns;
      unit.template load<4>(first.rows + column, first.stride);
      unit.template load<6>(codes[b] + column * kBlockRows, 64);
      unit.template dot<0, 4, 6>();
      if (two_blocks) {
        unit.template load<7>(codes[b + 1] + column * kBlockRows, 64);
        unit.template dot<1, 4, 7>();
      }
      if (!two_tiles) continue;
      unit.template load<5>(second.rows + column, second.stride);
      unit.template dot<2, 5, 6>();
      if (two_blocks) unit.template dot<3, 5, 7>();
    }
  }

  // Sixteen tokens' activations of a part: where they lie, or copied where rows or columns are missing.
  template <int kColumns>
  static Left left(const Call& call, const Part& part, std::int64_t token, std::int8_t* padded) {
    const std::int64_t stride = Wide<Simd>::places(*call.blocks);
    const auto* rows =
        static_cast<const std::int8_t*>(call.values) + token * stride + std::int64_t{part.first_step} * kStepColumns;
    if (call.tokens - token >= kTileTokens && part.steps % 2 == 0) return {rows, stride};
    const std::int64_t tokens = call.tokens - token < kTileTokens ? call.tokens - token : kTileTokens;
    for (std::int64_t t = 0; t < kTileTokens; ++t) {
      const std::int64_t columns = t < tokens ? std::int64_t{part.steps} * kStepColumns : 0;
      std::int8_t* target = padded + t * kColumns;
      for (std::int64_t i = 0; i < columns; ++i) target[i] = rows[t * stride + i];
      for (std::int64_t i = columns; i < kColumns; ++i) target[i] = 0;
    }
    return {padded, kColumns};
  }

  template <int kSums>
  static void add(Unit& unit, const Call& call, std::int64_t r, std::int64_t token, std::int64_t b,
                  std::int32_t* totals) {
    alignas(64) std::int32_t sums[kTileTokens * kBlockRows];
    unit.template store<kSums>(sums, 64);
    const std::int64_t tokens = call.tokens - token < kTileTokens ? call.tokens - token : kTileTokens;
    const typename Wide<Simd>::Place place{&call, r, token, b, totals + token * kCallRows + b * kBlockRows};
    const typename Wide<Simd>::template RunEnd<Ends::kGroup> end(place);
    for (int t = 0; t < tokens; ++t) end.add(t, Simd::load(sums + t * kBlockRows));
  }
};

}  // namespace lowbit::kernels
