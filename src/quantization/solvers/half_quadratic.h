#pragma once

#include <span>

namespace lowbit {

/// One step of half-quadratic splitting for the zero of one group.
struct HalfQuadraticStep {
  double error = 0;  ///< sum |w - scale (q - zero)|
  double zero = 0;   ///< the mean of q - (w - shrink(w - scale (q - zero))) / scale
};

/// q = clamp(round_half_even(w / scale + zero), 0, top); shrink(x) = sign(x) max(|x| - |x|^(norm - 1) / beta, 0). Sums
/// of at most 4096 numbers each in float32, of these in double; the order is fixed.
[[nodiscard]] HalfQuadraticStep half_quadratic_step(std::span<const float> weights, float scale, float zero, float top,
                                                    float norm, float beta);

}  // namespace lowbit
