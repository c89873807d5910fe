#pragma once

#include <cstddef>
#include <cstdint>

namespace lowbit {

/// A grid of equal steps for one group: q = clamp(round_half_even(w / scale) + zero, 0, top), with a whole zero.
struct UniformGrid {
  float scale = 1.0F;
  float zero = 0.0F;
  float top = 15.0F;
  bool real_zero = false;  ///< q = clamp(round_half_even(w / scale + zero), 0, top)
};

/// The codes q of `count` finite numbers; `top` at most 255.
void encode_uniform(const float* values, std::int64_t count, const UniformGrid& grid, std::uint8_t* codes);

struct Extremes {
  float low = 0.0F;
  float high = 0.0F;
};
/// The least and the largest of 0 and `count` numbers, of which none is NaN.
[[nodiscard]] Extremes extremes_with_zero(const float* values, std::int64_t count);

/// `count` numbers scale (q - zero).
void decode_uniform(const std::uint8_t* codes, std::size_t count, float scale, float zero, float* values);

/// sum |scale (q - zero) - w|^norm * unit^norm over `count` finite numbers, to about six digits; for ranking
/// candidates. `unit`, the reciprocal of the group's largest magnitude, keeps powers of tiny numbers from vanishing.
/// The order of the sum is fixed.
[[nodiscard]] float approximate_error(const float* values, std::int64_t count, const UniformGrid& grid, float unit,
                                      float norm);

}  // namespace lowbit
