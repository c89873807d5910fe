#pragma once

#include <algorithm>
#include <cstdint>

namespace lowbit {

/// Rows of logits that are in memory whole at a time, where they cannot be taken in parts.
inline constexpr std::int64_t kWholeRows = 256;

/// Rows of the next slice of `left`: `most`, what is left, or one more than `most` where a single row would remain, whose
/// product may have other bits than that of one among several.
[[nodiscard]] inline std::int64_t rows_of_slice(std::int64_t left, std::int64_t most) {
  return left == most + 1 ? left : std::min(left, most);
}

}  // namespace lowbit
