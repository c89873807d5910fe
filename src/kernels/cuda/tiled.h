#pragma once

#include "kernels/cuda/half_sums.h"

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
  using Sums = HalfSums<kBits, Number, kWarpTiles, kWarpTokenTiles>;

  LOWBIT_HOST_DEVICE Tiled(int lane, int tile, int token, int in_block)
      : token_(token), in_block_(in_block), sums_{lane, tile, {}} {}

  template <typename Thread>
  LOWBIT_HOST_DEVICE void work(Thread& thread, const HalfProduct& call) {
    const int chunks = chunks_of(call.weight);
    auto shared = thread.template shared<std::uint32_t>();
    typename Sums::Chunk next = {};
    sums_.load(thread, call.weight, 0, next);
    thread.wait_for_previous_grid();
    LOWBIT_UNROLL
    for (int stage = 0; stage < kStages - 1; ++stage) copy_stage(thread, call, stage);
    for (int chunk = 0; chunk < chunks; ++chunk) {
      thread.template wait_copies<kStages - 2>();
      // Behind this barrier all threads' copies of the stage are there, and nobody reads the one that is copied to
      // next.
      thread.sync();
      copy_stage(thread, call, chunk + kStages - 1);
      typename Sums::Chunk current = next;
      sums_.load(thread, call.weight, chunk + 1, next);
      sums_.add_chunk(thread, call.weight, chunk, current, [&](int in_chunk, int n) {
        const int token = in_block_ + n * kTileTokens + sums_.lane / 4;
        return shared.load16(chunk % kStages * kStageWords + unit_at(token, in_chunk * 4 + sums_.lane % 4));
      });
    }
    thread.template wait_copies<0>();
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

  LOWBIT_HOST_DEVICE void store(const HalfProduct& call) const {
    LOWBIT_UNROLL
    for (int r = 0; r < kWarpTiles; ++r) {
      LOWBIT_UNROLL
      for (int n = 0; n < kWarpTokenTiles; ++n) {
        LOWBIT_UNROLL
        for (int i = 0; i < 4; ++i) {
          const int row = (sums_.tile + r) * kTileRows + sums_.lane / 4 + i / 2 * 8;
          const int token = token_ + in_block_ + n * kTileTokens + sums_.lane % 4 * 2 + i % 2;
          if (row < call.weight.rows && token < call.tokens) call.output.store(token, row, sums_.sums[r][n][i]);
        }
      }
    }
  }

  int token_;
  int in_block_;
  Sums sums_;
};

}  // namespace lowbit::kernels::cuda
