#pragma once

#include <algorithm>
#include <cstdint>

namespace lowbit {

/// Rows of logits that are in memory whole at a time, where they cannot be taken in parts.
inline constexpr std::int64_t kWholeRows = 256;

/// Rows of the next slice of `left`: `most`, what is left, or one more than `most` where a single row would remain,
/// whose product may have other bits than that of one among several.
[[nodiscard]] inline std::int64_t rows_of_slice(std::int64_t left, std::int64_t most) {
  return left == most + 1 ? left : std::min(left, most);
}

/// Rows of a matrix with so many columns whose float32 numbers take about a MiB, which stays in the second-level cache
/// while a thread works on them. Many are whole heads.
[[nodiscard]] inline std::int64_t rows_in_cache(std::int64_t columns) {
  constexpr std::int64_t kNumbers = std::int64_t{1} << 18;
  constexpr std::int64_t kHeads = 128;
  const std::int64_t rows = std::max<std::int64_t>(1, kNumbers / std::max<std::int64_t>(1, columns));
  return rows < kHeads ? rows : rows / kHeads * kHeads;
}

}  // namespace lowbit
