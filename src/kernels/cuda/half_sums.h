#pragma once

#include "kernels/cuda/chunk.h"
#include "kernels/cuda/output.h"
#include "kernels/cuda/stream.h"

// What the kernels for 16-bit activations share: the call, and the sums of a warp.
namespace lowbit::kernels::cuda {

/// Tokens of one matrix instruction.
inline constexpr int kTileTokens = 8;

/// 2^bits blocks of a cluster share the columns, and there are so many clusters; none: the kernel that has them is not
/// for this product.
struct Slices {
  std::int32_t bits = 0;
  std::int32_t clusters = 0;

  [[nodiscard]] constexpr int count() const { return 1 << bits; }
};

struct HalfProduct {
  Matrix weight;
  const std::uint16_t* input;  ///< [tokens][input_stride], in the order of places
  std::int64_t input_stride;   ///< numbers
  std::int32_t input_places;   ///< what lies behind them is zero
  std::int32_t tokens;
  bool aligned;  ///< every eight places begin on 16 bytes
  Target output;
  std::int32_t splits;
  float* partials;          ///< [splits][tokens][rows], for more than one split
  std::uint32_t* arrivals;  ///< [blocks of rows and tokens], zero before and after
  Stream stream = {};       ///< of Hopper's kernels, whose partials and arrivals are those of `SharedTiles`
  Slices slices = {};       ///< of `HopperSliced`
};

/// A step of a tile, its four registers decoded, times eight places of a token, of the type `Operand`.
template <typename Operand, typename Thread>
LOWBIT_HOST_DEVICE inline void multiply_step(Thread& thread, const Quad (&quads)[4], const Word4& x, float (&sums)[4]) {
  LOWBIT_UNROLL
  for (int i = 0; i < 2; ++i) {
    const Quad& top = quads[2 * i];
    const Quad& bottom = quads[2 * i + 1];
    const std::uint32_t a[4] = {top.first, bottom.first, top.last, bottom.last};
    thread.multiply_add(Operand{}, sums, a, x.x[2 * i], x.x[2 * i + 1]);
  }
}

/// Ends a group: sums += group sums times the scale of their row, rounded once; group sums begin again.
template <int kTokenTiles>
LOWBIT_HOST_DEVICE inline void scale_sums(const Matrix& weight, const Parameters& parameters,
                                          float (&group_sums)[kTokenTiles][4], float (&sums)[kTokenTiles][4]) {
  const float scales[2] = {parameters.scale(weight.scale_kind, 0), parameters.scale(weight.scale_kind, 1)};
  LOWBIT_UNROLL
  for (int n = 0; n < kTokenTiles; ++n) {
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      sums[n][i] = fused(group_sums[n][i], scales[i / 2], sums[n][i]);
      group_sums[n][i] = 0.0F;
    }
  }
}

/// A warp's sums over some chunks of columns, for kRowTiles * 16 rows and kTokenTiles * 8 tokens. `Number` says what
/// codes stand for: whole numbers (decode.h) or a table's (table.h), as a sum of `kTerms` numbers of type `Operand`.
template <int kBits, typename Number, int kRowTiles, int kTokenTiles>
struct HalfSums {
  using TileParameters = Parameters[kRowTiles];
  /// What a lane holds of a chunk: its codes, and what belongs to the groups that the chunk has, or to the current one.
  template <int kGroups>
  struct GroupedChunk {
    Codes<kBits> codes[kRowTiles];
    TileParameters parameters[kGroups];
  };
  using Chunk = GroupedChunk<1>;
  using Accumulators = float[kRowTiles][kTokenTiles][4];
  using Operand = typename Number::Operand;
  static constexpr int kTerms = Number::kTerms;

  int lane;
  int tile;
  Accumulators sums;

  /// Any chunk, with the parameters of its first group; nothing for one behind the last.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void load(Thread& thread, const Matrix& weight, int chunk, Chunk& target) const {
    if (chunk >= chunks_of(weight)) return;
    LOWBIT_UNROLL
    for (int r = 0; r < kRowTiles; ++r) {
      if (has_tile(weight, r)) target.codes[r] = load_codes<kBits>(thread, weight, tile + r, chunk, lane);
    }
    load_group(thread, weight, GroupCursor(weight, chunk * kChunkSteps).group, target.parameters[0]);
  }
  /// A chunk of four steps whose groups begin and end with it or divide it evenly; `group` is its first one.
  template <int kGroups, typename Thread>
  LOWBIT_HOST_DEVICE static void load_whole(Thread& thread, const Matrix& weight,
                                            const LaneTile<kBits> (&from)[kRowTiles], int chunk, int group,
                                            GroupedChunk<kGroups>& target) {
    LOWBIT_UNROLL
    for (int r = 0; r < kRowTiles; ++r) {
      from[r].load(thread, chunk, target.codes[r]);
      LOWBIT_UNROLL
      for (int g = 0; g < kGroups; ++g) target.parameters[g][r] = from[r].parameters(thread, weight, group + g);
    }
  }

  /// `activations(step, token_tile)` gives a lane's eight places of its token, of one of the chunk's steps.
  template <typename Thread, typename Activations>
  LOWBIT_HOST_DEVICE void add_chunk(Thread& thread, const Matrix& weight, int chunk, Chunk& current,
                                    const Activations& activations) {
    Accumulators group_sums = {};
    GroupCursor cursor(weight, chunk * kChunkSteps);
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      const int step = chunk * kChunkSteps + s;
      if (step >= weight.steps) break;
      add_step(thread, s, current.codes, current.parameters[0], activations, group_sums);
      const bool closes = cursor.advance(weight);
      if (!closes || s + 1 == kChunkSteps || step + 1 == weight.steps) continue;
      close_group(weight, current.parameters[0], group_sums);
      load_group(thread, weight, cursor.group, current.parameters[0]);
    }
    close_group(weight, current.parameters[0], group_sums);
  }
  template <int kGroups, typename Thread, typename Activations>
  LOWBIT_HOST_DEVICE void add_whole_chunk(Thread& thread, const Matrix& weight, const GroupedChunk<kGroups>& current,
                                          const Activations& activations) {
    constexpr int kSteps = kChunkSteps / kGroups;
    Accumulators group_sums = {};
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      const TileParameters& parameters = current.parameters[s / kSteps];
      add_step(thread, s, current.codes, parameters, activations, group_sums);
      if (s % kSteps == kSteps - 1) close_group(weight, parameters, group_sums);
    }
  }

 private:
  // A single tile is always there: grids have no more blocks.
  LOWBIT_HOST_DEVICE bool has_tile(const Matrix& weight, int r) const {
    return kRowTiles == 1 || tile + r < tiles_of(weight);
  }

  template <typename Thread, typename Activations>
  LOWBIT_HOST_DEVICE static void add_step(Thread& thread, int step, const Codes<kBits> (&codes)[kRowTiles],
                                          const TileParameters& parameters, const Activations& activations,
                                          Accumulators& group_sums) {
    Quad quads[kRowTiles][kTerms][4];
    LOWBIT_UNROLL
    for (int r = 0; r < kRowTiles; ++r) {
      LOWBIT_UNROLL
      for (int i = 0; i < 4 * kTerms; ++i) {
        quads[r][i / 4][i % 4] =
            Number::template quad<kBits>(thread, codes[r], step, i % 4, parameters[r].zero(i % 2), i / 4);
      }
    }
    LOWBIT_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      const Word4 x = activations(step, n);
      LOWBIT_UNROLL
      for (int r = 0; r < kRowTiles; ++r) {
        LOWBIT_UNROLL
        for (int t = 0; t < kTerms; ++t) multiply_step<Operand>(thread, quads[r][t], x, group_sums[r][n]);
      }
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void load_group(Thread& thread, const Matrix& weight, int group, TileParameters& target) const {
    LOWBIT_UNROLL
    for (int r = 0; r < kRowTiles; ++r) {
      if (has_tile(weight, r)) target[r] = load_parameters(thread, weight, tile + r, group, lane);
    }
  }

  LOWBIT_HOST_DEVICE void close_group(const Matrix& weight, const TileParameters& parameters,
                                      Accumulators& group_sums) {
    LOWBIT_UNROLL
    for (int r = 0; r < kRowTiles; ++r) scale_sums(weight, parameters[r], group_sums[r], sums[r]);
  }
};

}  // namespace lowbit::kernels::cuda
