#pragma once

#include "kernels/cuda/attention_join.h"
#include "kernels/cuda/code_operands.h"

// What belongs to one warp of the attention to codes: its places in shared memory and its lanes.
namespace lowbit::kernels::cuda {

inline constexpr int kAttentionHeads = 4;
/// A lane's scores, then weights, of a tile: of tokens g + 8 i and head t for lane 4 g + t.
using TileScores = float[4];

/// Offsets of words of shared memory.
struct AttentionWarp {
  static constexpr int kQueryStride = kStepChannels + 4;  ///< of a step's channels of one head, over all banks
  static constexpr int kQueryWords = kAttentionHeads * kQueryStride;
  static constexpr int kOperandWords = 64;  ///< of a step's queries
  static constexpr int kTokenWords = kCacheTileTokens * kAttentionHeads + 4;
  static constexpr int kStepWords = kStepChannels * kAttentionHeads + kOperandWords + 2 * kAttentionHeads;

  int lane;
  int own;      ///< lane 4 g + t: g
  int quarter;  ///< t
  int steps;    ///< of sixteen channels
  int queries;  ///< of the block
  int sums;     ///< [channel][head]: of values
  int operands;
  int offsets;  ///< [step][offset, inverse of the factor][head]
  int tokens;   ///< weights of tokens: of two tokens [head][term][16], or [token][head] and what remains of sums
  int affine;   ///< float32 scales and minima of the tile at work
  int tiles;

  /// In front of its tiles.
  LOWBIT_HOST_DEVICE static int words(int steps, int affine_words) {
    return steps * kStepWords + kTokenWords + affine_words;
  }
  LOWBIT_HOST_DEVICE AttentionWarp(int of_lane, int of_steps, int queries_at, int at, int affine_words)
      : lane(of_lane), own(of_lane / 4), quarter(of_lane % 4), steps(of_steps), queries(queries_at), sums(at) {
    operands = sums + steps * kStepChannels * kAttentionHeads;
    offsets = operands + steps * kOperandWords;
    tokens = offsets + steps * 2 * kAttentionHeads;
    affine = tokens + kTokenWords;
    tiles = affine + affine_words;
  }
  LOWBIT_HOST_DEVICE int query(int h, int channel) const {
    return queries + (channel / kStepChannels * kAttentionHeads + h) * kQueryStride + channel % kStepChannels;
  }
  /// Where the operands of a step and a pair of quarters begin: pairs change places from step to step, so that lanes of
  /// two steps store to other banks.
  LOWBIT_HOST_DEVICE int operand(int step, int pair) const {
    return operands + step * kOperandWords + (pair ^ (step & 1)) * 16;
  }
};

/// Over lanes 4 g + t of all g.
template <typename Thread>
LOWBIT_HOST_DEVICE inline float largest_of_rows(Thread& thread, float x) {
  LOWBIT_UNROLL
  for (int mask = 4; mask < kLanes; mask *= 2) x = larger(thread.shuffle_xor(x, mask), x);
  return x;
}
template <typename Thread>
LOWBIT_HOST_DEVICE inline float sum_of_rows(Thread& thread, float x) {
  LOWBIT_UNROLL
  for (int mask = 4; mask < kLanes; mask *= 2) x += thread.shuffle_xor(x, mask);
  return x;
}

}  // namespace lowbit::kernels::cuda
