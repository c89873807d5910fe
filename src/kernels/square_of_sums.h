#pragma once

#include <cstdint>

#include "kernels/kernel.h"

namespace lowbit::kernels {

inline constexpr std::int64_t kTileTokens = 16;
static_assert(kCallTokens % (2 * kTileTokens) == 0, "tiles of sums end with the totals");

/// Sums of up to two tiles of tokens by two blocks of a call, which a matrix unit holds in its tile registers 0 to 3.
struct SquareOfSums {
  std::int64_t token;  ///< of the call, the first
  std::int64_t block;  ///< of the call, the first
  bool two_tiles;
  bool two_blocks;

  /// `totals` [token][kCallRows], of 32 bits.
  template <typename Unit, typename Number>
  void load(Unit& unit, const Number* totals) const {
    const Number* first = totals + token * kCallRows + block * kBlockRows;
    const Number* second = first + kTileTokens * kCallRows;
    unit.template load<0>(first, kStride);
    if (two_blocks) unit.template load<1>(first + kBlockRows, kStride);
    if (two_tiles) unit.template load<2>(second, kStride);
    if (two_tiles && two_blocks) unit.template load<3>(second + kBlockRows, kStride);
  }
  template <typename Unit, typename Number>
  void store(Unit& unit, Number* totals) const {
    Number* first = totals + token * kCallRows + block * kBlockRows;
    Number* second = first + kTileTokens * kCallRows;
    unit.template store<0>(first, kStride);
    if (two_blocks) unit.template store<1>(first + kBlockRows, kStride);
    if (two_tiles) unit.template store<2>(second, kStride);
    if (two_tiles && two_blocks) unit.template store<3>(second + kBlockRows, kStride);
  }

 private:
  static constexpr std::int64_t kStride = kCallRows * sizeof(float);  // bytes
};

/// use(square) for all squares of a call.
template <typename Use>
void each_square(const Call& call, Use&& use) {
  for (std::int64_t token = 0; token < call.tokens; token += 2 * kTileTokens) {
    for (std::int64_t block = 0; block < call.block_count; block += 2) {
      use(SquareOfSums{token, block, call.tokens - token > kTileTokens, block + 1 < call.block_count});
    }
  }
}

}  // namespace lowbit::kernels
