#include "quantization/solvers/half_quadratic.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "formats/vector_math.h"

namespace lowbit {
namespace {

constexpr std::int64_t kPart = 4096;

struct Constants {
  float scale, zero, top, norm, beta;
};

struct Sums {
  Floats error = {};
  Floats zero = {};
};

// Leaves in `x` |w - w^|, and in `shift` q - (w - shrink(w - w^)) / scale.
[[gnu::always_inline]] inline void step(Floats& x, Floats& shift, const Constants& c) {
  const Floats weight = x;
  Floats code = weight / c.scale + c.zero;
  clamp_to(code, -1024.0F, 1024.0F);
  round_small(code);
  clamp_to(code, 0.0F, c.top);
  const Floats difference = weight - (code - c.zero) * c.scale;
  x = difference < Floats{} ? -difference : difference;
  Floats power = x;
  raise_to(power, c.norm - 1.0F);
  Floats shrunk = x - power / c.beta;
  shrunk = shrunk < Floats{} ? Floats{} : shrunk;
  const Floats kept = difference < Floats{} ? -shrunk : shrunk;
  shift = code - (weight - kept) / c.scale;
}

[[gnu::always_inline]] inline void add_part(const float* weights, std::int64_t count, const Constants& c, Sums& sums) {
  Floats shift;
  const std::int64_t whole = count / kLanes * kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    Floats x;
    std::memcpy(&x, weights + i, sizeof x);
    step(x, shift, c);
    sums.error = sums.error + x;
    sums.zero = sums.zero + shift;
  }
  if (whole == count) return;
  // Lanes behind the end compute on zeros and are not counted.
  Floats x = {};
  std::memcpy(&x, weights + whole, static_cast<std::size_t>(count - whole) * sizeof(float));
  step(x, shift, c);
  for (std::int64_t lane = 0; lane < count - whole; ++lane) {
    sums.error[lane] += x[lane];
    sums.zero[lane] += shift[lane];
  }
}

LOWBIT_EVERY_ISA
void sum_part(const float* weights, std::int64_t count, const Constants& constants, double* error, double* zero) {
  Sums sums;
  add_part(weights, count, constants, sums);
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    *error += static_cast<double>(sums.error[lane]);
    *zero += static_cast<double>(sums.zero[lane]);
  }
}

}  // namespace

HalfQuadraticStep half_quadratic_step(std::span<const float> weights, float scale, float zero, float top, float norm,
                                      float beta) {
  const Constants constants{scale, zero, top, norm, beta};
  const auto count = static_cast<std::int64_t>(weights.size());
  HalfQuadraticStep result;
  for (std::int64_t first = 0; first < count; first += kPart) {
    sum_part(weights.data() + first, std::min(kPart, count - first), constants, &result.error, &result.zero);
  }
  result.zero /= static_cast<double>(count);
  return result;
}

}  // namespace lowbit
