#pragma once

#include <type_traits>

#include "kernels/cuda/half_sums.h"

// A warp's sums of sixteen rows on their way from the registers of matrix instructions, where a lane has two rows, to
// the output, whose rows lie side by side; and to and from where they wait for those of other workers.
namespace lowbit::kernels::cuda {

template <typename T>
LOWBIT_HOST_DEVICE inline T of_word(std::uint32_t word) {
  if constexpr (std::is_same_v<T, float>) {
    return float_from_bits(word);
  } else {
    return static_cast<T>(word);
  }
}
LOWBIT_HOST_DEVICE inline Word4 words_of(const float (&x)[4]) {
  return {{bits_of_float(x[0]), bits_of_float(x[1]), bits_of_float(x[2]), bits_of_float(x[3])}};
}
LOWBIT_HOST_DEVICE inline Word4 words_of(const std::int32_t (&x)[4]) {
  return {{static_cast<std::uint32_t>(x[0]), static_cast<std::uint32_t>(x[1]), static_cast<std::uint32_t>(x[2]),
           static_cast<std::uint32_t>(x[3])}};
}

/// Four rows' numbers of a token, those that the matrix has.
LOWBIT_HOST_DEVICE inline void store_four(const Target& target, std::int64_t token, std::int64_t row, std::int64_t rows,
                                          const float (&sums)[4]) {
  const std::uintptr_t bytes = target.kind == NumberKind::kFloat32 ? 16 : 8;
  const bool together = target.residual == nullptr && row + 4 <= rows && target.stride % 4 == 0 &&
                        reinterpret_cast<std::uintptr_t>(target.data) % bytes == 0;
  if (!together) {
    LOWBIT_NO_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float sum = i < 2 ? i == 0 ? sums[0] : sums[1] : i == 2 ? sums[2] : sums[3];  // from registers
      if (row + i < rows) target.store(token, row + i, sum);
    }
    return;
  }
  float y[4];
  LOWBIT_UNROLL
  for (int i = 0; i < 4; ++i) y[i] = target.bias != nullptr ? sums[i] + target.bias[row + i] : sums[i];
  const std::int64_t at = token * target.stride + row;
  if (target.kind == NumberKind::kFloat32) {
    *reinterpret_cast<Word4*>(static_cast<float*>(target.data) + at) = words_of(y);
    return;
  }
  const bool half = target.kind == NumberKind::kFloat16;
  const std::uint64_t low = half ? pair_of_halves(y[0], y[1]) : pair_of_bfloat16(y[0], y[1]);
  const std::uint64_t high = half ? pair_of_halves(y[2], y[3]) : pair_of_bfloat16(y[2], y[3]);
  *reinterpret_cast<std::uint64_t*>(static_cast<std::uint16_t*>(target.data) + at) = low | high << 32;
}

/// Tokens whose sums are turned at once, in words of shared memory that are the warp's own.
inline constexpr int kTurnedTokens = 16;
/// So that lanes, eight rows of four tokens that are two apart, write to 32 banks.
inline constexpr int kTurnedStride = kTileRows + 4;
inline constexpr int kTurnedWords = kTurnedTokens * kTurnedStride;

/// take(token, words) for four rows side by side of each token that the lane has then: rows from 4 (lane % 4) on.
template <typename Thread, typename T, int kTokenTiles, typename Take>
LOWBIT_HOST_DEVICE inline void turn_sums(Thread& thread, int at, const T (&sums)[kTokenTiles][4], const Take& take) {
  static_assert(kTokenTiles % 2 == 0 && kTurnedTokens == 2 * kTileTokens);
  auto numbers = thread.template shared<T>();
  auto words = thread.template shared<std::uint32_t>();
  const int lane = thread.index() % kLanes;
  LOWBIT_UNROLL
  for (int pair = 0; pair < kTokenTiles; pair += 2) {
    thread.sync_warp();
    LOWBIT_UNROLL
    for (int e = 0; e < 8; ++e) {
      const int token = e / 4 * kTileTokens + lane % 4 * 2 + e % 2;
      numbers.store(at + token * kTurnedStride + lane / 4 + e % 4 / 2 * 8, sums[pair + e / 4][e % 4]);
    }
    thread.sync_warp();
    LOWBIT_NO_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int token = half * kTileTokens + lane / 4;
      take(pair * kTileTokens + token, words.load16(at + token * kTurnedStride + lane % 4 * 4));
    }
  }
}

/// A group's words of shared memory, of which each warp turns its sums in its own.
inline constexpr int kGroupWarps = 4;
inline constexpr int kGroupTurnedWords = kGroupWarps * kTurnedWords;
template <typename Thread>
LOWBIT_HOST_DEVICE inline int turned_at(Thread& thread, int of_group) {
  return of_group + thread.index() / kLanes % kGroupWarps * kTurnedWords;
}

/// Sixteen rows from `row` on, and the tokens from `token` on; `at` are words of shared memory of the group.
template <typename Thread, int kTokenTiles>
LOWBIT_HOST_DEVICE inline void store_sums(Thread& thread, const HalfProduct& call, int row, int token, int at,
                                          const float (&sums)[kTokenTiles][4]) {
  const int own_row = row + thread.index() % 4 * 4;
  turn_sums(thread, turned_at(thread, at), sums, [&](int in_tile, const Word4& words) {
    if (token + in_tile >= call.tokens) return;
    const float numbers[4] = {float_from_bits(words.x[0]), float_from_bits(words.x[1]), float_from_bits(words.x[2]),
                              float_from_bits(words.x[3])};
    store_four(call.output, token + in_tile, own_row, call.weight.rows, numbers);
  });
}

/// Where the sums of shared tiles wait for those who add them: as registers hold them, four of a lane side by side.
template <typename T>
struct SharedTiles {
  T* sums;                  ///< [workers][blocks of a worker][warps][tiles of tokens][lanes][4]
  std::uint32_t* arrivals;  ///< [shared tiles][blocks of a worker][warps], zero before and after
};

/// What a warp does with its sums of a tile that workers share: the one that has its first chunks adds those of the
/// others to its own, in their order, when they are there; the others leave theirs. Whether the sums are now the
/// tile's. Who adds waits for workers behind its own: as many as there are must be on the GPU, if not at once, then in
/// order.
template <int kBlocks, int kWarps, typename Thread, typename T, int kTokenTiles>
LOWBIT_HOST_DEVICE inline bool join_tile(Thread& thread, const Stream& stream, const SharedTiles<T>& shared, int worker,
                                         int block, int tile, T (&sums)[kTokenTiles][4]) {
  const Stream::Parts parts = stream.parts(tile);
  if (parts.count == 1) return true;
  const int lane = thread.index() % kLanes;
  const int warp = block * kWarps + thread.index() / kLanes;
  const auto at = [&](int of_worker) {
    const std::int64_t warps = std::int64_t{of_worker} * kBlocks * kWarps + warp;
    return shared.sums + (warps * kTokenTiles * kLanes + lane) * 4;
  };
  std::uint32_t* counter = shared.arrivals + std::int64_t{stream.shared_tile(tile)} * kBlocks * kWarps + warp;
  if (worker != parts.first_worker) {
    T* own = at(worker);
    LOWBIT_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      *reinterpret_cast<Word4*>(own + n * kLanes * 4) = words_of(sums[n]);
    }
    thread.sync_warp();
    if (lane == 0) thread.signal(counter);
    return false;
  }
  if (lane == 0) {
    thread.wait_for_signals(counter, static_cast<std::uint32_t>(parts.count - 1));
    *counter = 0;
  }
  thread.sync_warp();
  LOWBIT_NO_UNROLL
  for (int p = 1; p < parts.count; ++p) {
    const T* from = at(worker + p);
    constexpr int kAtOnce = kTokenTiles < 8 ? kTokenTiles : 8;
    LOWBIT_UNROLL
    for (int first = 0; first < kTokenTiles; first += kAtOnce) {
      Word4 part[kAtOnce];
      LOWBIT_UNROLL
      for (int n = 0; n < kAtOnce; ++n) part[n] = thread.read16_shared_by_blocks(from + (first + n) * kLanes * 4);
      LOWBIT_UNROLL
      for (int e = 0; e < 4 * kAtOnce; ++e) sums[first + e / 4][e % 4] += of_word<T>(part[e / 4].x[e % 4]);
    }
  }
  return true;
}

}  // namespace lowbit::kernels::cuda
