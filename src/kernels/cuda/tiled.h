#pragma once

#include "kernels/cuda/chunk.h"
#include "kernels/cuda/skinny.h"

// Products of many tokens: a block makes 128 rows and 128 tokens. Activations pass through shared memory in stages of
// 128 columns, copied while earlier ones are multiplied; weights go straight into registers, as in the skinny kernel.
namespace lowbit::kernels::cuda {

/// An output's sum: for each group that a chunk of columns holds, in order, f = fma(sum of x (code - zero), scale, f).
/// Unlike the skinny kernel's it is one chain over all chunks, so that its bits are others.
template <int kBits, typename Number>
class Tiled {
 public:
  static constexpr int kWarps = 8;
  static constexpr int kThreads = kWarps * kLanes;
  static constexpr int kResidentBlocks = 1;
  static constexpr int kStages = 3;
  static constexpr int kBlockTokens = 128;
  static constexpr int kBlockTiles = 8;
  /// 16-byte units of a token in a stage.
  static constexpr int kUnits = kChunkSteps * kStepColumns / 8;
  static constexpr int kStageWords = kBlockTokens * kUnits * 4;
  static constexpr int kSharedWords = kStages * kStageWords;

  /// Where a token's unit lies in a stage, in words. Neighbouring tokens take turns in the two halves of 32 banks, so
  /// that eight lanes, of two tokens and four units, read from all banks.
  LOWBIT_HOST_DEVICE static constexpr int unit_at(int token, int unit) {
    return (token * kUnits + (unit ^ (token % 2 * 4))) * 4;
  }

  /// `call.splits` is 1 and `call.aligned` true; every token holds a whole number of units.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const HalfProduct& call) {
    const int warp = thread.index() / kLanes;
    Tiled part(thread.index() % kLanes, thread.block(0) * kBlockTiles + warp / 2 * kWarpTiles,
               thread.block(1) * kBlockTokens, warp % 2 * kWarpTokenTiles * kTileTokens);
    thread.allow_next_grid();
    part.work(thread, call);
    part.store(call);
  }

 private:
  static constexpr int kWarpTiles = 2;
  static constexpr int kWarpTokenTiles = 8;
  struct Chunk {
    Codes<kBits> codes[kWarpTiles];
    Parameters parameters[kWarpTiles];
  };
  using Accumulators = float[kWarpTiles][kWarpTokenTiles][4];

  LOWBIT_HOST_DEVICE Tiled(int lane, int tile, int token, int in_block)
      : lane_(lane), tile_(tile), token_(token), in_block_(in_block) {}

  template <typename Thread>
  LOWBIT_HOST_DEVICE void work(Thread& thread, const HalfProduct& call) {
    const int chunks = chunks_of(call.weight);
    Chunk next = {};
    load(thread, call, 0, next);
    thread.wait_for_previous_grid();
    LOWBIT_UNROLL
    for (int stage = 0; stage < kStages - 1; ++stage) copy_stage(thread, call, stage);
    for (int chunk = 0; chunk < chunks; ++chunk) {
      thread.template wait_copies<kStages - 2>();
      // Behind this barrier all threads' copies of the stage are there, and nobody reads the one that is copied to
      // next.
      thread.sync();
      copy_stage(thread, call, chunk + kStages - 1);
      Chunk current = next;
      load(thread, call, chunk + 1, next);
      add_chunk(thread, call, chunk, current);
    }
    thread.template wait_copies<0>();
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void load(Thread& thread, const HalfProduct& call, int chunk, Chunk& target) const {
    if (chunk >= chunks_of(call.weight)) return;
    const GroupCursor cursor(call.weight, chunk * kChunkSteps);
    LOWBIT_UNROLL
    for (int r = 0; r < kWarpTiles; ++r) {
      if (tile_ + r >= tiles_of(call.weight)) continue;
      target.codes[r] = load_codes<kBits>(thread, call.weight, tile_ + r, chunk, lane_);
      target.parameters[r] = load_parameters(thread, call.weight, tile_ + r, cursor.group, lane_);
    }
  }

  // Behind the last chunk an empty group of copies, so that the waits count on.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void copy_stage(Thread& thread, const HalfProduct& call, int chunk) const {
    auto shared = thread.template shared<std::uint32_t>();
    if (chunk < chunks_of(call.weight)) {
      const int base = chunk % kStages * kStageWords;
      LOWBIT_UNROLL
      for (int i = 0; i < kBlockTokens * kUnits / kThreads; ++i) {
        const int e = thread.index() + i * kThreads;
        const int token = e / kUnits;
        const int unit = e % kUnits;
        const int place = chunk * kChunkSteps * kStepColumns + unit * 8;
        const bool present = token_ + token < call.tokens && place + 8 <= call.input_places;
        const std::uint16_t* from = call.input + (token_ + token) * call.input_stride + place;
        shared.copy_async16(base + unit_at(token, unit), present ? from : call.input, present);
      }
    }
    thread.commit_copies();
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_chunk(Thread& thread, const HalfProduct& call, int chunk, Chunk& current) {
    Accumulators group_sums = {};
    GroupCursor cursor(call.weight, chunk * kChunkSteps);
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      const int step = chunk * kChunkSteps + s;
      if (step >= call.weight.steps) break;
      add_step(thread, chunk % kStages * kStageWords, s, current, group_sums);
      const bool closes = cursor.advance(call.weight);
      if (!closes || s + 1 == kChunkSteps || step + 1 == call.weight.steps) continue;
      close_group(call, current, group_sums);
      LOWBIT_UNROLL
      for (int r = 0; r < kWarpTiles; ++r) {
        if (tile_ + r >= tiles_of(call.weight)) continue;
        current.parameters[r] = load_parameters(thread, call.weight, tile_ + r, cursor.group, lane_);
      }
    }
    close_group(call, current, group_sums);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_step(Thread& thread, int stage, int in_chunk, const Chunk& current,
                                   Accumulators& group_sums) const {
    auto shared = thread.template shared<std::uint32_t>();
    Quad quads[kWarpTiles][4];
    LOWBIT_UNROLL
    for (int r = 0; r < kWarpTiles; ++r) {
      LOWBIT_UNROLL
      for (int reg = 0; reg < 4; ++reg)
        quads[r][reg] = decode_quad<Number>(current.codes[r], current.parameters[r], in_chunk, reg);
    }
    LOWBIT_UNROLL
    for (int n = 0; n < kWarpTokenTiles; ++n) {
      const int token = in_block_ + n * kTileTokens + lane_ / 4;
      const Word4 x = shared.load16(stage + unit_at(token, in_chunk * 4 + lane_ % 4));
      LOWBIT_UNROLL
      for (int r = 0; r < kWarpTiles; ++r) multiply_step<Number>(thread, quads[r], x, group_sums[r][n]);
    }
  }

  LOWBIT_HOST_DEVICE void close_group(const HalfProduct& call, const Chunk& current, Accumulators& group_sums) {
    LOWBIT_UNROLL
    for (int r = 0; r < kWarpTiles; ++r) {
      scale_sums(call.weight, current.parameters[r], group_sums[r], sums_[r]);
    }
  }

  LOWBIT_HOST_DEVICE void store(const HalfProduct& call) const {
    LOWBIT_UNROLL
    for (int r = 0; r < kWarpTiles; ++r) {
      LOWBIT_UNROLL
      for (int n = 0; n < kWarpTokenTiles; ++n) {
        LOWBIT_UNROLL
        for (int i = 0; i < 4; ++i) {
          const int row = (tile_ + r) * kTileRows + lane_ / 4 + i / 2 * 8;
          const int token = token_ + in_block_ + n * kTileTokens + lane_ % 4 * 2 + i % 2;
          if (row < call.weight.rows && token < call.tokens) call.output.store(token, row, sums_[r][n][i]);
        }
      }
    }
  }

  int lane_;
  int tile_;
  int token_;
  int in_block_;
  float sums_[kWarpTiles][kWarpTokenTiles][4] = {};
};

}  // namespace lowbit::kernels::cuda
