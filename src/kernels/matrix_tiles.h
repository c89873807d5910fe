#pragma once

#include <cstdint>

#include "kernels/wide.h"

// Products on a matrix unit (AMX): tiles of 16 rows of 64 bytes. `Unit` has its operations: the processor's, or a plain
// model of them. kInt8 with activations as rows of bytes (Form::kBytes, tokens one by one); a panel of codes,
// [quad][16 rows][4], is a right-hand tile as it lies, two steps of columns at a time.
namespace lowbit::kernels {

template <typename Simd, typename Unit>
class MatrixTiles {
  static constexpr int kTileTokens = 16;
  static constexpr int kTileColumns = 64;

  // Tile registers: four of sums (two token tiles by two blocks), two of activations, two of codes.
  struct Left {
    const std::int8_t* rows;
    std::int64_t stride;
  };

 public:
  static void run(const Call& call) {
    // An odd last step is filled up with zeros, here and in the activations.
    alignas(64) std::uint8_t codes[kCallBlocks][kRunColumns * kBlockRows];
    alignas(64) std::int32_t totals[kCallTokens * kCallRows];
    Unit unit;
    for (std::int64_t r = 0; r < call.blocks->run_count; ++r) {
      const Run& run = call.blocks->runs[r];
      for (std::int64_t b = 0; b < call.block_count; ++b) {
        Wide<Simd>::decode_codes(*call.blocks, call.first_block + b, run, codes[b]);
        if (run.steps % 2 == 0) continue;
        for (int quad = 0; quad < kStepQuads; ++quad) {
          Simd::store(codes[b] + 64 * (run.steps * kStepQuads + quad), Simd::broadcast(0));
        }
      }
      for (std::int64_t token = 0; token < call.tokens; token += 2 * kTileTokens) {
        for (std::int64_t b = 0; b < call.block_count; b += 2) multiply(unit, call, r, token, b, codes, totals);
      }
    }
  }

 private:
  using Codes = std::uint8_t[kRunColumns * kBlockRows];

  static void multiply(Unit& unit, const Call& call, std::int64_t r, std::int64_t token, std::int64_t b,
                       const Codes* codes, std::int32_t* totals) {
    const Run& run = call.blocks->runs[r];
    const bool two_tiles = call.tokens - token > kTileTokens;
    const bool two_blocks = b + 1 < call.block_count;
    alignas(64) std::int8_t padded[2][kTileTokens * kRunColumns];
    const Left first = left(call, run, token, padded[0]);
    const Left second = two_tiles ? left(call, run, token + kTileTokens, padded[1]) : Left{};
    unit.clear_sums();
    for (std::int32_t step = 0; step < run.steps; step += 2) {
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
    add<0>(unit, call, r, token, b, totals);
    if (two_blocks) add<1>(unit, call, r, token, b + 1, totals);
    if (two_tiles) add<2>(unit, call, r, token + kTileTokens, b, totals);
    if (two_tiles && two_blocks) add<3>(unit, call, r, token + kTileTokens, b + 1, totals);
  }

  // Sixteen tokens' activations of a run: where they lie, or copied where rows or columns are missing.
  static Left left(const Call& call, const Run& run, std::int64_t token, std::int8_t* padded) {
    const std::int64_t stride = Wide<Simd>::places(*call.blocks);
    const auto* rows =
        static_cast<const std::int8_t*>(call.values) + token * stride + std::int64_t{run.first_step} * kStepColumns;
    if (call.tokens - token >= kTileTokens && run.steps % 2 == 0) return {rows, stride};
    const std::int64_t tokens = call.tokens - token < kTileTokens ? call.tokens - token : kTileTokens;
    for (std::int64_t t = 0; t < kTileTokens; ++t) {
      const std::int64_t columns = t < tokens ? std::int64_t{run.steps} * kStepColumns : 0;
      std::int8_t* target = padded + t * kRunColumns;
      for (std::int64_t i = 0; i < columns; ++i) target[i] = rows[t * stride + i];
      for (std::int64_t i = columns; i < kRunColumns; ++i) target[i] = 0;
    }
    return {padded, kRunColumns};
  }

  template <int kSums>
  static void add(Unit& unit, const Call& call, std::int64_t r, std::int64_t token, std::int64_t b,
                  std::int32_t* totals) {
    alignas(64) std::int32_t sums[kTileTokens * kBlockRows];
    unit.template store<kSums>(sums, 64);
    const std::int64_t tokens = call.tokens - token < kTileTokens ? call.tokens - token : kTileTokens;
    const typename Wide<Simd>::Place place{&call, r, token, b, totals + token * kCallRows + b * kBlockRows};
    const typename Wide<Simd>::template RunEnd<false> end(place);
    for (int t = 0; t < tokens; ++t) end.add(t, Simd::load(sums + t * kBlockRows));
  }
};

}  // namespace lowbit::kernels
