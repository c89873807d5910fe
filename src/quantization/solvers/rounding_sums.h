#pragma once

#include <span>

namespace lowbit {

/// What a scale costs one group on integer codes, and the sums whose quotient is the better scale.
struct RoundingSums {
  double squared_error = 0;  ///< sum (scale k - w)^2
  double product = 0;        ///< sum w k
  double squares = 0;        ///< sum k^2
};

/// k = clamp(round_half_even(w / scale) + zero, 0, top) - zero, or with `real_zero` clamp(round(w / scale + zero), 0,
/// top)
/// - zero, in float32; sums in double, in a fixed order.
[[nodiscard]] RoundingSums rounding_sums(std::span<const float> weights, float scale, float zero, float top,
                                         bool real_zero);

}  // namespace lowbit
