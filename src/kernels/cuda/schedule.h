#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/cuda/integer.h"
#include "kernels/cuda/skinny.h"

// Which kernel, of which size, makes a product.
namespace lowbit::kernels::cuda {

/// Of the skinny kernel. Splits decide an output's bits, and depend on the matrix and the GPU alone.
struct SkinnySchedule {
  int token_tiles;
  int splits;
  int row_blocks;
  int token_blocks;

  [[nodiscard]] std::size_t partial_bytes(const Matrix& weight, int tokens) const {
    if (splits == 1) return 0;
    return static_cast<std::size_t>(splits) * static_cast<std::size_t>(tokens) * static_cast<std::size_t>(weight.rows) *
           sizeof(float);
  }
  [[nodiscard]] std::size_t arrival_bytes() const {
    return splits == 1 ? 0 : static_cast<std::size_t>(row_blocks) * static_cast<std::size_t>(token_blocks) * 4;
  }
};

/// Token tiles that the skinny kernel is compiled with: all that pay for 4 bits, two for others. Which of them makes a
/// product changes no bit of it.
constexpr bool has_token_tiles(int bits, int token_tiles) { return token_tiles == 1 || token_tiles == 4 || bits == 4; }

/// What a product of so many tiles of rows takes in so many splits, in the time that a warp of a full GPU takes for a
/// chunk: 1.2 us on an H100, whose memory then delivers 2.9 TB/s. Blocks come in waves of as many as the GPU holds at
/// once. Each of them takes two chunks' time before its first sum and behind its last one; splits end with a fence, an
/// atomic addition and a read of what others left, one behind the other. Measured there, and what this gives: 688
/// tiles of 32 chunks in one split 11 us and 12, 256 in three splits 7 and 9, 768 in three splits 19 and 21.
inline double split_cost(int tiles, int chunks, int splits, int multiprocessors) {
  constexpr double kBlock = 2.0;
  constexpr double kJoining = 2.5;
  const int held = kSkinnyBlocks * multiprocessors;
  const int waves = (tiles * splits + held - 1) / held;
  const int parts = splits * kSkinnyWarps;
  const int chunks_of_warp = (chunks + parts - 1) / parts;
  return waves * (kBlock + chunks_of_warp) + (splits > 1 ? kJoining : 0.0);
}

/// The cheapest number of splits, each of which has a chunk.
inline int choose_splits(int tiles, int chunks, int multiprocessors) {
  constexpr int kMost = 8;
  const int most = std::clamp((chunks + kSkinnyWarps - 1) / kSkinnyWarps, 1, kMost);
  int best = 1;
  for (int splits = 2; splits <= most; ++splits) {
    const double cost = split_cost(tiles, chunks, splits, multiprocessors);
    if (cost < split_cost(tiles, chunks, best, multiprocessors)) best = splits;
  }
  return best;
}
inline int choose_splits(const Matrix& weight, int multiprocessors) {
  return choose_splits(tiles_of(weight), chunks_of(weight), multiprocessors);
}

inline SkinnySchedule schedule_skinny(const Matrix& weight, int tokens, int multiprocessors) {
  SkinnySchedule result{};
  result.token_tiles = tokens <= 8 ? 1 : tokens <= 16 ? 2 : tokens <= 32 ? 4 : 8;
  const bool all = weight.table == nullptr && has_token_tiles(weight.bits, result.token_tiles);
  if (!all && result.token_tiles != 1) result.token_tiles = 4;
  result.splits = choose_splits(weight, multiprocessors);
  result.row_blocks = tiles_of(weight);
  const int block_tokens = result.token_tiles * kTileTokens;
  result.token_blocks = (tokens + block_tokens - 1) / block_tokens;
  return result;
}

/// Tokens of a block of the integer kernel, by eights; groups that are not made of whole chunks need more shared
/// memory.
inline int choose_integer_tiles(int tokens) { return tokens <= 8 ? 1 : 4; }

}  // namespace lowbit::kernels::cuda
