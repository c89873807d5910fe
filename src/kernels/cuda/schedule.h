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

/// Blocks come in waves of as many as the GPU holds at once, and a wave that is not full takes as long as one that is:
/// so many splits that the last one wastes least, a few at most, since joining them costs too.
inline int choose_splits(const Matrix& weight, int multiprocessors) {
  constexpr int kMost = 8;
  constexpr double kJoining = 0.02;  // of a wave, for each split
  const int blocks = tiles_of(weight);
  const int held = kSkinnyBlocks * multiprocessors;
  const int most = std::clamp((chunks_of(weight) + kSkinnyWarps - 1) / kSkinnyWarps, 1, kMost);
  const auto waves = [&](int splits) {
    return static_cast<double>((blocks * splits + held - 1) / held) / splits + kJoining * (splits - 1);
  };
  int best = 1;
  for (int splits = 2; splits <= most; ++splits) {
    if (waves(splits) < waves(best)) best = splits;
  }
  return best;
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
