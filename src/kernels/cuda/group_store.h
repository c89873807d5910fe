#pragma once

#include "kernels/cuda/warp_sums.h"

// The outputs of a group of four warps, 64 rows side by side, on their way through shared memory: to whole lines of
// memory, 16 bytes a lane.
namespace lowbit::kernels::cuda {

/// Panels of tokens whose rows lie side by side; between tokens a gap, so that lanes write to 32 banks.
struct StorePanel {
  static constexpr int kRows = kGroupWarps * kTileRows;
  static constexpr int kWideTokens = 32;  ///< of float32
  static constexpr int kWideStride = kRows + 4;
  static constexpr int kNarrowTokens = 64;  ///< of 16 bits
  static constexpr int kNarrowStride = kRows / 2 + 4;
  static constexpr int kWords = kNarrowTokens * kNarrowStride;
  static_assert(kWideTokens * kWideStride <= kWords && kGroupTurnedWords <= kWords);
};

/// Whether every 16 bytes of outputs side by side are of one token, begin on 16 bytes, and get nothing added that lies
/// in memory.
LOWBIT_HOST_DEVICE inline bool stores_by_lines(const Target& target, int rows) {
  const int together = target.kind == NumberKind::kFloat32 ? 4 : 8;
  return target.residual == nullptr && rows % together == 0 && target.stride % together == 0 &&
         reinterpret_cast<std::uintptr_t>(target.data) % 16 == 0;
}

/// What is added to a lane's two rows.
struct RowBias {
  bool present;
  float of[2];

  /// `row`: the warp's first.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static RowBias load(Thread& thread, const Target& target, int row, int rows) {
    RowBias result = {target.bias != nullptr, {}};
    LOWBIT_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int own = row + thread.index() % kLanes / 4 + 8 * i;
      if (result.present && own < rows) result.of[i] = float_from_bits(thread.read4(target.bias + own));
    }
    return result;
  }
  LOWBIT_HOST_DEVICE float add(int i, float y) const { return present ? y + of[i] : y; }
};

/// A tile's place in the output, and words of shared memory for a panel.
struct StorePlace {
  int row;    ///< the group's first
  int rows;   ///< of the matrix
  int token;  ///< the tile's first
  int tokens;
  int at;
};

namespace detail {

/// Sixteen bytes a lane: `kTokens` tokens of the panel, from number `first` of the tile on.
template <int kTokens, int kStride, typename Thread>
LOWBIT_HOST_DEVICE inline void store_panel(Thread& thread, const Target& target, const StorePlace& place, int first) {
  constexpr bool kWide = kStride == StorePanel::kWideStride;
  constexpr int kPieces = StorePanel::kRows / (kWide ? 4 : 8);  // of a token
  constexpr int kAtOnce = kGroupWarps * kLanes / kPieces;       // tokens
  auto words = thread.template shared<std::uint32_t>();
  const int within = thread.index() % (kGroupWarps * kLanes);
  const int piece = within % kPieces;
  const int row = place.row + piece * (kWide ? 4 : 8);
  const int token = place.token + first + within / kPieces;
  const int left = row < place.rows ? place.tokens - token : 0;
  const std::int64_t apart = kAtOnce * target.stride * (kWide ? 4 : 2);
  auto* to = static_cast<std::uint8_t*>(target.data) + (token * target.stride + row) * (kWide ? 4 : 2);
  Word4 loaded[kTokens / kAtOnce];
  LOWBIT_UNROLL
  for (int i = 0; i < kTokens / kAtOnce; ++i) {
    loaded[i] = words.load16(place.at + (i * kAtOnce + within / kPieces) * kStride + piece * 4);
  }
  LOWBIT_UNROLL
  for (int i = 0; i < kTokens / kAtOnce; ++i) {
    if (i * kAtOnce < left) *reinterpret_cast<Word4*>(to) = loaded[i];
    to += apart;
  }
}

}  // namespace detail

/// By all threads of a group. number(n, y) gives the lane's four outputs of tile n of tokens as a matrix instruction
/// has them; only where `stores_by_lines`.
template <int kTokenTiles, typename Thread, typename Numbers>
LOWBIT_HOST_DEVICE inline void store_by_lines(Thread& thread, const Target& target, const StorePlace& place,
                                              const Numbers& number) {
  const int lane = thread.index() % kLanes;
  const int warp = thread.index() / kLanes % kGroupWarps;
  if (target.kind == NumberKind::kFloat32) {
    constexpr int kTiles = StorePanel::kWideTokens / kTileTokens;
    static_assert(kTokenTiles % kTiles == 0);
    auto numbers = thread.template shared<float>();
    LOWBIT_UNROLL
    for (int first = 0; first < kTokenTiles; first += kTiles) {
      thread.sync_group();  // all have read what was there
      LOWBIT_UNROLL
      for (int n = 0; n < kTiles; ++n) {
        float y[4];
        number(first + n, y);
        LOWBIT_UNROLL
        for (int e = 0; e < 4; ++e) {
          const int token = n * kTileTokens + lane % 4 * 2 + e % 2;
          numbers.store(place.at + token * StorePanel::kWideStride + warp * kTileRows + lane / 4 + e / 2 * 8, y[e]);
        }
      }
      thread.sync_group();
      detail::store_panel<StorePanel::kWideTokens, StorePanel::kWideStride>(thread, target, place, first * kTileTokens);
    }
    return;
  }
  constexpr int kTiles = StorePanel::kNarrowTokens / kTileTokens;
  static_assert(kTokenTiles % kTiles == 0);
  const bool half = target.kind == NumberKind::kFloat16;
  const int line = place.at + (lane / 16 * kTileTokens + lane % 8) * StorePanel::kNarrowStride + warp * kTileRows / 2 +
                   lane / 8 % 2 * 4;
  LOWBIT_UNROLL
  for (int first = 0; first < kTokenTiles; first += kTiles) {
    thread.sync_group();
    LOWBIT_UNROLL
    for (int n = 0; n < kTiles; n += 2) {
      std::uint32_t pairs[4];
      LOWBIT_UNROLL
      for (int i = 0; i < 2; ++i) {
        float y[4];
        number(first + n + i, y);
        pairs[2 * i] = half ? pair_of_halves(y[0], y[1]) : pair_of_bfloat16(y[0], y[1]);
        pairs[2 * i + 1] = half ? pair_of_halves(y[2], y[3]) : pair_of_bfloat16(y[2], y[3]);
      }
      thread.store_columns(line + n * kTileTokens * StorePanel::kNarrowStride, pairs);
    }
    thread.sync_group();
    detail::store_panel<StorePanel::kNarrowTokens, StorePanel::kNarrowStride>(thread, target, place,
                                                                              first * kTileTokens);
  }
}

}  // namespace lowbit::kernels::cuda
