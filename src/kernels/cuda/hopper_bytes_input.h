#pragma once

#include <cstdint>

#include "kernels/cuda/hopper_input.h"

// How `Quantize` lays integers of activations out for Hopper's matrix instruction of bytes: as its right operand lies
// in shared memory, as hopper_input.h does for 16-bit numbers.
namespace lowbit::kernels::cuda {

/// Bytes of the depth of one instruction are one step of columns.
inline constexpr int kByteDepth = kStepColumns;
/// Bytes side by side in the operand: a line.
inline constexpr int kLineBytes = 16;

/// Where the operand's bytes lie: the lines of eight tokens are a brick of 128 bytes; bricks of further tokens follow,
/// and behind them those of the next line of the depth.
LOWBIT_HOST_DEVICE constexpr std::int64_t byte_operand_offset(int tokens, int token, int depth) {
  return (depth / kLineBytes * (tokens / 8) + token / 8) * 128 + token % 8 * kLineBytes + depth % kLineBytes;
}

/// Which place of a chunk, in the order of `Quantize`, is number `depth` of it. A lane holds eight places side by side
/// of each step, while the instruction gives it two fours that are sixteen apart.
LOWBIT_HOST_DEVICE constexpr int place_of_byte_depth(int depth) {
  return depth / kByteDepth * kByteDepth + depth % kLineBytes / 4 * 8 + depth % kByteDepth / kLineBytes * 4 + depth % 4;
}

/// Where a place of a chunk is in the depth.
LOWBIT_HOST_DEVICE constexpr int byte_depth_of_place(int place) {
  return place / kByteDepth * kByteDepth + place % kByteDepth / 8 * 4 + place % 8 / 4 * kLineBytes + place % 4;
}

/// Whether a block's groups of warps make their tiles at once, or take turns (`TurnRing`). No bit depends on it.
enum class ByteKernel : std::int32_t { kTogether, kTurns };

/// Tokens of a block. They change no bit of an output.
constexpr int hopper_byte_tokens(int tokens) { return tokens <= 64 ? 64 : tokens <= 128 ? 128 : 256; }

}  // namespace lowbit::kernels::cuda
