#pragma once

#include <cstdint>

#include "kernels/cuda/hopper_input.h"

// Integers of activations for Hopper's matrix instruction of bytes, laid out beforehand as its right operand lies in
// shared memory, as hopper_input.h does for 16-bit numbers.
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

/// Tokens of a block. They change no bit of an output.
constexpr int hopper_byte_tokens(int tokens) { return tokens <= 64 ? 64 : tokens <= 128 ? 128 : 256; }

struct ByteOperandCall {
  const std::int8_t* input;  ///< [tokens][steps * 32] as QuantizeCall with one plane; begins on 16 bytes
  std::int32_t tokens;
  std::int32_t steps;
  std::int32_t block_tokens;
  std::int8_t* output;  ///< [blocks of tokens][chunks][operands]; begins on 16 bytes
  const std::int32_t* sums;  ///< [tokens][runs], of the integers, as QuantizeCall has them
  std::int32_t runs;
  std::int32_t* totals;  ///< [tokens]
};

/// Lays integers out; what lies behind the tokens and the steps is zero. A thread takes a step of a token, and of some
/// the sum of all its integers.
struct ArrangeBytes {
  static constexpr int kThreads = 256;
  static constexpr int kResidentBlocks = 1;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const ByteOperandCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    const LaidOutStep at(thread, kThreads, call.steps, call.block_tokens);
    if (!at.present) return;
    if (at.step == 0 && at.token < call.tokens) {
      std::int32_t total = 0;
      for (int r = 0; r < call.runs; ++r) total += call.sums[std::int64_t{at.token} * call.runs + r];
      call.totals[at.token] = total;
    }
    Word4 words[2] = {};
    if (at.token < call.tokens && at.step < call.steps) {
      const std::int8_t* from = call.input + (std::int64_t{at.token} * call.steps + at.step) * kStepColumns;
      LOWBIT_UNROLL
      for (int i = 0; i < 2; ++i) words[i] = thread.read16(from + i * kLineBytes);
    }
    LOWBIT_UNROLL
    for (int line = 0; line < 2; ++line) {
      Word4 result;
      LOWBIT_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int place = place_of_byte_depth(line * kLineBytes + 4 * i);
        result.x[i] = words[place / kLineBytes].x[place % kLineBytes / 4];
      }
      const int depth = at.in_chunk * kByteDepth + line * kLineBytes;
      *reinterpret_cast<Word4*>(call.output + at.chunk + byte_operand_offset(call.block_tokens, at.in_block, depth)) =
          result;
    }
  }
};

}  // namespace lowbit::kernels::cuda
