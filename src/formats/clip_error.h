#pragma once

#include <cstdint>

namespace lowbit {

/// One candidate grid: q = clamp(round_half_even(w / scale) + zero, 0, top).
struct ClipCandidate {
  float scale = 1.0F;
  float zero = 0.0F;
  float top = 15.0F;
  bool real_zero = false;  ///< q = clamp(round(w / scale + zero), 0, top)
};

/// sum |scale (q - zero) - w|^norm * unit^norm over `count` finite numbers, to about six digits; for ranking
/// candidates. `unit`, the reciprocal of the group's largest magnitude, keeps powers of tiny numbers from vanishing.
/// The order of the sum is fixed.
[[nodiscard]] float approximate_error(const float* values, std::int64_t count, const ClipCandidate& candidate,
                                      float unit, float norm);

}  // namespace lowbit
