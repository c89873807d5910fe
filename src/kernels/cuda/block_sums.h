#pragma once

#include "kernels/cuda/half_sums.h"

// A block's sums on their way from the registers of matrix instructions, where a lane has two rows, to the output,
// whose rows lie side by side.
namespace lowbit::kernels::cuda {

/// Four rows' numbers of a token, those that the matrix has.
LOWBIT_HOST_DEVICE inline void store_four(const Target& target, std::int64_t token, std::int64_t row, std::int64_t rows,
                                          const float (&sums)[4]) {
  const std::uintptr_t bytes = target.kind == NumberKind::kFloat32 ? 16 : 8;
  const bool together = target.residual == nullptr && row + 4 <= rows && target.stride % 4 == 0 &&
                        reinterpret_cast<std::uintptr_t>(target.data) % bytes == 0;
  if (!together) {
    for (int i = 0; i < 4; ++i) {
      if (row + i < rows) target.store(token, row + i, sums[i]);
    }
    return;
  }
  float y[4];
  LOWBIT_UNROLL
  for (int i = 0; i < 4; ++i) y[i] = target.bias != nullptr ? sums[i] + target.bias[row + i] : sums[i];
  const std::int64_t at = token * target.stride + row;
  if (target.kind == NumberKind::kFloat32) {
    *reinterpret_cast<Word4*>(static_cast<float*>(target.data) + at) = {
        {bits_of_float(y[0]), bits_of_float(y[1]), bits_of_float(y[2]), bits_of_float(y[3])}};
    return;
  }
  const bool half = target.kind == NumberKind::kFloat16;
  const std::uint64_t low = half ? pair_of_halves(y[0], y[1]) : pair_of_bfloat16(y[0], y[1]);
  const std::uint64_t high = half ? pair_of_halves(y[2], y[3]) : pair_of_bfloat16(y[2], y[3]);
  *reinterpret_cast<std::uint64_t*>(static_cast<std::uint16_t*>(target.data) + at) = low | high << 32;
}

/// The same of a block's sums, which go to the output or to where the splits' sums wait for each other.
template <typename Thread>
LOWBIT_HOST_DEVICE inline void deliver_four(Thread& thread, const HalfProduct& call, int token, int row,
                                            const float (&sums)[4]) {
  if (call.splits == 1) return store_four(call.output, token, row, call.weight.rows, sums);
  const std::int64_t rows = call.weight.rows;
  const Target partials = {call.partials + std::int64_t{thread.block(1)} * call.tokens * rows,
                           rows,
                           NumberKind::kFloat32,
                           nullptr,
                           nullptr,
                           0};
  store_four(partials, token, row, rows, sums);
}

/// Through shared memory from its first word on, token by token. `kWarps` warps have sixteen rows each.
template <int kWarps, int kTokenTiles>
struct BlockSums {
  static constexpr int kRows = kWarps * kTileRows;
  static constexpr int kTokens = kTokenTiles * kTileTokens;
  /// So that the lanes of a warp, eight rows of four tokens that are two apart, write to 32 banks.
  static constexpr int kStride = kRows + 4;
  static constexpr int kWords = kTokens * kStride;

  /// A thread's sums of some tiles of tokens, of which `first` is the first.
  template <typename Thread, typename T, int kTiles>
  LOWBIT_HOST_DEVICE static void put(Thread& thread, int first, const T (&sums)[kTiles][4]) {
    auto shared = thread.template shared<T>();
    const int lane = thread.index() % kLanes;
    const int row = thread.index() / kLanes * kTileRows + lane / 4;
    LOWBIT_UNROLL
    for (int n = 0; n < kTiles; ++n) {
      LOWBIT_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int token = (first + n) * kTileTokens + lane % 4 * 2 + i % 2;
        shared.store(token * kStride + row + i / 2 * 8, sums[n][i]);
      }
    }
  }

  /// The first of the thread's four rows in every call of `take`.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static int row_of(Thread& thread) {
    return thread.index() % (kRows / 4) * 4;
  }

  /// take(token, words) for each token, of the first `tokens`, that the thread has four rows of.
  template <typename Thread, typename Take>
  LOWBIT_HOST_DEVICE static void each(Thread& thread, int tokens, const Take& take) {
    auto shared = thread.template shared<std::uint32_t>();
    const int end = tokens < kTokens ? tokens : kTokens;
    for (int token = thread.index() / (kRows / 4); token < end; token += kWarps * kLanes / (kRows / 4)) {
      take(token, shared.load16(token * kStride + row_of(thread)));
    }
  }
};

}  // namespace lowbit::kernels::cuda
