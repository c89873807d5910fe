#pragma once

#include <cstdint>
#include <vector>

#include "lowbit/base/random.h"

namespace lowbit {

/// Offsets, ascending, of `count` windows of `length` among `tokens`: a uniform draw from all placements in which no
/// two overlap. Needs tokens >= count * length.
[[nodiscard]] std::vector<std::int64_t> draw_disjoint_windows(std::int64_t tokens, std::int64_t length,
                                                              std::int64_t count, const Random& random);
/// Offsets of windows placed one by one without regard to each other. Needs tokens >= length.
[[nodiscard]] std::vector<std::int64_t> draw_windows(std::int64_t tokens, std::int64_t length, std::int64_t count,
                                                     const Random& random);
/// 0..count-1 as they are.
[[nodiscard]] std::vector<std::int64_t> identity_order(std::int64_t count);
/// A uniform permutation of 0..count-1.
[[nodiscard]] std::vector<std::int64_t> draw_order(std::int64_t count, const Random& random);

}  // namespace lowbit
