#pragma once

#include "kernels/cuda/arithmetic.h"
#include "kernels/cuda/layout.h"

// Activations for Hopper's matrix instruction (wgmma), which takes its right operand from shared memory. They are laid
// out beforehand as that operand lies there, so that a stage of the product is one copy without a pattern.
namespace lowbit::kernels::cuda {

/// Depth of one instruction, and how many there are in a chunk of columns.
inline constexpr int kOperandDepth = 16;
inline constexpr int kChunkOperands = kChunkSteps * kStepColumns / kOperandDepth;

/// Where the operand's numbers lie: eight numbers of the depth side by side are a line of 16 bytes, the lines of eight
/// tokens a brick of 128 bytes; bricks of further tokens follow, and behind them those of the next eight of the depth.
LOWBIT_HOST_DEVICE constexpr std::int64_t operand_offset(int tokens, int token, int depth) {
  return (depth / 8 * (tokens / 8) + token / 8) * 64 + token % 8 * 8 + depth % 8;
}

/// The groups that a chunk holds a part of.
struct ChunkGroups {
  int first;
  int count;
  LOWBIT_HOST_DEVICE ChunkGroups(const Matrix& weight, int chunk) : first(chunk * kChunkSteps / weight.group_steps) {
    const int end = (chunk + 1) * kChunkSteps < weight.steps ? (chunk + 1) * kChunkSteps : weight.steps;
    count = (end - 1) / weight.group_steps - first + 1;
  }
};

/// Which column of a chunk is number `depth` of it. A lane holds eight columns side by side of each step, while the
/// instruction gives it two pairs that are eight apart: so the depth counts its pairs in the lanes' order.
LOWBIT_HOST_DEVICE constexpr int column_of_depth(int depth) {
  const int in_operand = depth % kOperandDepth;
  return depth / kStepColumns * kStepColumns + in_operand % 8 / 2 * 8 + depth % kStepColumns / kOperandDepth * 4 +
         in_operand / 8 * 2 + in_operand % 2;
}

/// What the instruction is told of an operand in shared memory that lies without swizzle: its address, from brick to
/// brick along the depth, and along the tokens; each in units of 16 bytes.
LOWBIT_HOST_DEVICE constexpr std::uint64_t operand_descriptor(std::uint32_t address, std::uint32_t depth_bytes,
                                                              std::uint32_t token_bytes) {
  constexpr std::uint32_t kMask = 0x3FFFU;
  return (address >> 4 & kMask) | (std::uint64_t{depth_bytes >> 4 & kMask} << 16) |
         (std::uint64_t{token_bytes >> 4 & kMask} << 32);
}

/// Tokens of a block, where sums are exact up to float32; and where weights are rounded.
constexpr int hopper_tokens(int tokens) { return tokens <= 16 ? 16 : tokens <= 32 ? 32 : tokens <= 64 ? 64 : 128; }
inline constexpr int kHopperRoundedTokens = 256;
/// Numbers of activations that are laid out in blocks of so many tokens.
constexpr std::int64_t laid_out_size(const Matrix& weight, int tokens, int block) {
  return std::int64_t{(tokens + block - 1) / block} * block * chunks_of(weight) * kChunkSteps * kStepColumns;
}

/// The step of a token that a thread lays out: block(0) counts blocks of tokens, block(1) as many steps as the threads
/// take at once.
struct LaidOutStep {
  int token;
  int in_block;  ///< the token's place in its block
  int step;
  bool present;           ///< whether chunks have such a step
  std::int64_t chunk;     ///< where its chunk begins in the output
  std::int32_t in_chunk;  ///< the step's place in it

  template <typename Thread>
  LOWBIT_HOST_DEVICE LaidOutStep(Thread& thread, int threads, int steps, int block_tokens)
      : in_block(thread.index() % block_tokens) {
    const int chunks = (steps + kChunkSteps - 1) / kChunkSteps;
    token = thread.block(0) * block_tokens + in_block;
    step = thread.block(1) * (threads / block_tokens) + thread.index() / block_tokens;
    present = step < chunks * kChunkSteps;
    chunk = (std::int64_t{thread.block(0)} * chunks + step / kChunkSteps) * block_tokens * kChunkSteps * kStepColumns;
    in_chunk = step % kChunkSteps;
  }
};

struct OperandCall {
  const std::uint16_t* input;  ///< [tokens][stride]
  std::int64_t stride;
  std::int32_t tokens;
  std::int32_t columns;
  const std::int32_t* sources;  ///< [places] as `Packed::sources_at`, or null
  std::int32_t steps;           ///< of the weight
  std::int32_t block_tokens;
  std::uint16_t* output;  ///< [blocks of tokens][chunks][operands]; begins on 16 bytes
};

/// Lays activations out; what lies behind the tokens, the columns and the steps is zero. A thread takes a step of a
/// token.
struct ArrangeOperands {
  static constexpr int kThreads = kHopperRoundedTokens;
  static constexpr int kResidentBlocks = 1;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const OperandCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    const LaidOutStep at(thread, kThreads, call.steps, call.block_tokens);
    if (!at.present) return;
    std::uint16_t numbers[kStepColumns];
    load(thread, call, at.token, at.step, numbers);
    LOWBIT_UNROLL
    for (int line = 0; line < kStepColumns / 8; ++line) {
      const int depth = at.in_chunk * kStepColumns + line * 8;
      Word4 words = {};
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) {
        words.x[i / 2] |= std::uint32_t{numbers[column_of_depth(line * 8 + i)]} << (16 * (i % 2));
      }
      *reinterpret_cast<Word4*>(call.output + at.chunk + operand_offset(call.block_tokens, at.in_block, depth)) = words;
    }
  }

 private:
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void load(Thread& thread, const OperandCall& call, int token, int step,
                                      std::uint16_t (&numbers)[kStepColumns]) {
    const std::uint16_t* from = call.input + token * call.stride;
    const bool whole = call.sources == nullptr && token < call.tokens && (step + 1) * kStepColumns <= call.columns;
    if (whole && reinterpret_cast<std::uintptr_t>(from) % 16 == 0) {
      LOWBIT_UNROLL
      for (int i = 0; i < kStepColumns; i += 8) {
        const Word4 loaded = thread.read16(from + step * kStepColumns + i);
        LOWBIT_UNROLL
        for (int j = 0; j < 8; ++j) numbers[i + j] = static_cast<std::uint16_t>(loaded.x[j / 2] >> (16 * (j % 2)));
      }
      return;
    }
    LOWBIT_UNROLL
    for (int i = 0; i < kStepColumns; ++i) {
      const int place = step * kStepColumns + i;
      int column = place;
      if (call.sources != nullptr) column = step < call.steps ? call.sources[place] : -1;
      const bool present = token < call.tokens && column >= 0 && column < call.columns;
      numbers[i] = present ? static_cast<std::uint16_t>(thread.read2(from + column)) : std::uint16_t{0};
    }
  }
};

}  // namespace lowbit::kernels::cuda
