#pragma once

#include "kernels/cuda/lane_ring.h"

// What Hopper's kernels of 16-bit activations do between the instructions that need a group of four warps.
namespace lowbit::kernels::cuda {

/// The left operands of a step's two instructions: each has the same place of both of the lane's rows, then another.
template <int kBits, typename Number, typename Thread>
LOWBIT_HOST_DEVICE inline void decode_operands(Thread& thread, const Codes<kBits>& codes, const GroupNumbers& group,
                                               int in_chunk, std::uint32_t (&operands)[2][4]) {
  LOWBIT_UNROLL
  for (int reg = 0; reg < 4; ++reg) {
    const Quad quad = Number::template quad<kBits>(thread, codes, in_chunk, reg, group.zero(reg % 2), 0);
    operands[reg / 2][reg % 2] = quad.first;
    operands[reg / 2][reg % 2 + 2] = quad.last;
  }
}

/// The same with every weight's scale in it, rounded from float32 once, as `Expand` does.
template <int kBits, typename Number, typename Thread>
LOWBIT_HOST_DEVICE inline void decode_scaled(Thread& thread, const Codes<kBits>& codes, const GroupNumbers& group,
                                             int in_chunk, std::uint32_t (&operands)[2][4]) {
  decode_operands<kBits, Number>(thread, codes, group, in_chunk, operands);
  LOWBIT_UNROLL
  for (int i = 0; i < 8; ++i) {
    std::uint32_t& pair = operands[i / 4][i % 4];
    pair = scaled_pair<Number>(group.scales[i % 2], pair);
  }
}

/// Ends a group, of some of the tiles of tokens: sums += group sums times the scale of their row, rounded once.
template <int kTiles, int kTokenTiles>
LOWBIT_HOST_DEVICE inline void add_scaled(const float (&scales)[2], const float (&group_sums)[kTiles][4],
                                          int first_tile, float (&sums)[kTokenTiles][4]) {
  LOWBIT_UNROLL
  for (int n = 0; n < kTiles; ++n) {
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      sums[first_tile + n][i] = fused(group_sums[n][i], scales[i / 2], sums[first_tile + n][i]);
    }
  }
}

}  // namespace lowbit::kernels::cuda
