#pragma once

#include "kernels/cuda/arrival.h"
#include "kernels/cuda/half_sums.h"

// Products whose columns are dealt to several blocks. The last of them to come adds their sums in the order of splits,
// so that the same bits come out however the blocks were scheduled. Grids are [blocks of rows][splits][blocks of
// tokens].
namespace lowbit::kernels::cuda {

/// Where a block's outputs lie, and with how many threads it makes them.
struct BlockOutputs {
  int row;
  int rows;
  int token;
  int tokens;
  int threads;
};

/// A block's sum of an output goes to it, or to where the splits' sums wait for each other.
template <typename Thread>
LOWBIT_HOST_DEVICE inline void deliver(Thread& thread, const HalfProduct& call, int token, int row, float sum) {
  if (token >= call.tokens || row >= call.weight.rows) return;
  if (call.splits == 1) {
    call.output.store(token, row, sum);
  } else {
    const std::int64_t at = (std::int64_t{thread.block(1)} * call.tokens + token) * call.weight.rows + row;
    call.partials[at] = sum;
  }
}

/// Outputs that a thread adds up at once: their loads, and those of four splits, are on their way together.
inline constexpr int kOutputsAtOnce = 4;

template <typename Thread>
LOWBIT_HOST_DEVICE inline void add_splits(Thread& thread, const HalfProduct& call, const BlockOutputs& block) {
  const std::int64_t between = std::int64_t{call.tokens} * call.weight.rows;
  for (int base = thread.index(); base < block.rows * block.tokens; base += kOutputsAtOnce * block.threads) {
    float sums[kOutputsAtOnce] = {};
    const float* from[kOutputsAtOnce] = {};
    LOWBIT_UNROLL
    for (int i = 0; i < kOutputsAtOnce; ++i) {
      const int e = base + i * block.threads;
      const std::int64_t token = block.token + e / block.rows;
      const int row = block.row + e % block.rows;
      const bool present = e < block.rows * block.tokens && token < call.tokens && row < call.weight.rows;
      if (present) from[i] = call.partials + token * call.weight.rows + row;
    }
    for (int first = 0; first < call.splits; first += 4) {
      float parts[kOutputsAtOnce][4] = {};
      LOWBIT_UNROLL
      for (int i = 0; i < 4 * kOutputsAtOnce; ++i) {
        if (from[i / 4] == nullptr || first + i % 4 >= call.splits) continue;
        parts[i / 4][i % 4] = thread.read_shared_by_blocks(from[i / 4] + (first + i % 4) * between);
      }
      LOWBIT_UNROLL
      for (int i = 0; i < 4 * kOutputsAtOnce; ++i) sums[i / 4] += parts[i / 4][i % 4];
    }
    LOWBIT_UNROLL
    for (int i = 0; i < kOutputsAtOnce; ++i) {
      const int e = base + i * block.threads;
      if (from[i] != nullptr) call.output.store(block.token + e / block.rows, block.row + e % block.rows, sums[i]);
    }
  }
}

/// Called by all threads when they have delivered; `flag_at` is a word of shared memory that nobody else uses.
template <typename Thread>
LOWBIT_HOST_DEVICE inline void finish_splits(Thread& thread, const HalfProduct& call, const BlockOutputs& block,
                                             int flag_at) {
  std::uint32_t* arrivals = call.arrivals + thread.block(2) * thread.blocks(0) + thread.block(0);
  if (!is_last_to_arrive(thread, arrivals, call.splits, flag_at)) return;
  add_splits(thread, call, block);
  if (thread.index() == 0) *arrivals = 0;
}

}  // namespace lowbit::kernels::cuda
