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

/// A line of a step, from its 32 columns: the lanes' pairs of the same place.
LOWBIT_HOST_DEVICE inline Word4 line_of(const Word4 (&columns)[4], int line) {
  return {{columns[0].x[line], columns[1].x[line], columns[2].x[line], columns[3].x[line]}};
}

/// What the instruction is told of an operand in shared memory that lies without swizzle: its address, from brick to
/// brick along the depth, and along the tokens; each in units of 16 bytes.
LOWBIT_HOST_DEVICE constexpr std::uint64_t operand_descriptor(std::uint32_t address, std::uint32_t depth_bytes,
                                                              std::uint32_t token_bytes) {
  constexpr std::uint32_t kMask = 0x3FFFU;
  return (address >> 4 & kMask) | (std::uint64_t{depth_bytes >> 4 & kMask} << 16) |
         (std::uint64_t{token_bytes >> 4 & kMask} << 32);
}

/// How many clusters of 2^i blocks a GPU holds at once, whose blocks take all memory of a multiprocessor: they lie
/// within parts of it, some of which lack a few. None: it has no kernels for Hopper.
struct HopperClusters {
  std::int32_t held[4];
};

/// Tokens of a block, where sums are exact up to float32; and where weights are rounded.
constexpr int hopper_tokens(int tokens) { return tokens <= 16 ? 16 : tokens <= 32 ? 32 : tokens <= 64 ? 64 : 128; }
inline constexpr int kHopperRoundedTokens = 256;
/// Tokens of the kernel whose blocks hold all activations of their columns.
inline constexpr int kMostSlicedTokens = 64;
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
    Word4 columns[4] = {};
    load(thread, call, at.token, at.step, columns);
    LOWBIT_UNROLL
    for (int line = 0; line < kStepColumns / 8; ++line) {
      const int depth = at.in_chunk * kStepColumns + line * 8;
      *reinterpret_cast<Word4*>(call.output + at.chunk + operand_offset(call.block_tokens, at.in_block, depth)) =
          line_of(columns, line);
    }
  }

 private:
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void load(Thread& thread, const OperandCall& call, int token, int step,
                                      Word4 (&columns)[4]) {
    const std::uint16_t* from = call.input + token * call.stride;
    const bool whole = call.sources == nullptr && token < call.tokens && (step + 1) * kStepColumns <= call.columns;
    if (whole && reinterpret_cast<std::uintptr_t>(from) % 16 == 0) {
      LOWBIT_UNROLL
      for (int i = 0; i < 4; ++i) columns[i] = thread.read16(from + step * kStepColumns + 8 * i);
      return;
    }
    LOWBIT_UNROLL
    for (int i = 0; i < kStepColumns; ++i) {
      const int place = step * kStepColumns + i;
      int column = place;
      if (call.sources != nullptr) column = step < call.steps ? call.sources[place] : -1;
      if (token >= call.tokens || column < 0 || column >= call.columns) continue;
      columns[i / 8].x[i % 8 / 2] |= static_cast<std::uint32_t>(thread.read2(from + column)) << (16 * (i % 2));
    }
  }
};

}  // namespace lowbit::kernels::cuda
