#include "formats/clip_error.h"

#include <cstring>

#include "formats/vector_math.h"

namespace lowbit {
namespace {

// |scale (q - zero) - value| * unit
[[gnu::always_inline]] inline void distance(Floats& value, const ClipCandidate& c, float unit) {
  // Beyond +-1024 every code is clipped for zeros of 0..255, so the quotient may be cut there before it is rounded.
  Floats code = value / c.scale;
  clamp_to(code, -1024.0F, 1024.0F);
  if (c.real_zero) code = code + c.zero;
  round_small(code);
  if (!c.real_zero) code = code + c.zero;
  clamp_to(code, 0.0F, c.top);
  const Floats error = ((code - c.zero) * c.scale - value) * unit;
  value = error < Floats{} ? -error : error;
}

}  // namespace

// All versions execute the same IEEE operations in the same order; only their width differs.
LOWBIT_EVERY_ISA
float approximate_error(const float* values, std::int64_t count, const ClipCandidate& candidate, float unit,
                        float norm) {
  Floats sums = {};
  const std::int64_t whole = count / kLanes * kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    Floats x;
    std::memcpy(&x, values + i, sizeof x);
    distance(x, candidate, unit);
    raise_to(x, norm);
    sums = sums + x;
  }
  if (whole < count) {
    // Lanes behind the end compute on zeros and are not counted.
    Floats x = {};
    std::memcpy(&x, values + whole, static_cast<std::size_t>(count - whole) * sizeof(float));
    distance(x, candidate, unit);
    raise_to(x, norm);
    for (std::int64_t lane = 0; lane < count - whole; ++lane) sums[lane] += x[lane];
  }
  float total = 0.0F;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) total += sums[lane];
  return total;
}

}  // namespace lowbit
