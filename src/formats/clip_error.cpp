#include "formats/clip_error.h"

#include <bit>
#include <cmath>

namespace lowbit {
namespace {

constexpr std::int64_t kLanes = 8;

// Adding and taking away 1.5 * 2^23 rounds half to even for |x| < 2^22, and unlike nearbyint it becomes vector code
// everywhere.
inline __attribute__((always_inline)) float round_small(float x) { return (x + 12582912.0F) - 12582912.0F; }

inline __attribute__((always_inline)) float clamp_to(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

// x^norm for x >= 0 (0 gives a number below 1e-37), relative error below 4e-6 for norms up to 8: 2^(norm log2 x) with
// Chebyshev-fitted polynomials on [sqrt(1/2), sqrt(2)] and [-1/2, 1/2].
inline __attribute__((always_inline)) float power(float x, float norm) {
  constexpr std::int32_t kRootHalf = 0x3f3504f3;  // the bits of sqrt(1/2)
  const std::int32_t bits = std::bit_cast<std::int32_t>(x);
  const std::int32_t exponent = (bits - kRootHalf) >> 23;
  const float f = std::bit_cast<float>(bits - (exponent << 23)) - 1.0F;
  float log2 = -0.14620353F;
  log2 = log2 * f + 0.23420985F;
  log2 = log2 * f - 0.24882181F;
  log2 = log2 * f + 0.28707561F;
  log2 = log2 * f - 0.36024199F;
  log2 = log2 * f + 0.48092404F;
  log2 = log2 * f - 0.72135276F;
  log2 = log2 * f + 1.44269496F;
  log2 = log2 * f + static_cast<float>(exponent);
  const float y = clamp_to(norm * log2, -125.0F, 125.0F);
  const float whole = round_small(y);
  const float t = y - whole;
  float exp2 = 0.00134004F;
  exp2 = exp2 * t + 0.00967604F;
  exp2 = exp2 * t + 0.05550327F;
  exp2 = exp2 * t + 0.24022107F;
  exp2 = exp2 * t + 0.69314721F;
  exp2 = exp2 * t + 1.00000008F;
  const std::int32_t shift = static_cast<std::int32_t>(whole) << 23;
  return std::bit_cast<float>(std::bit_cast<std::int32_t>(exp2) + shift);
}

inline __attribute__((always_inline)) float distance(float value, const ClipCandidate& c, float unit) {
  // Beyond +-1024 every code is clipped for zeros of 0..255, so the quotient may be cut there before it is rounded.
  const float quotient = clamp_to(value / c.scale, -1024.0F, 1024.0F);
  const float rounded = c.real_zero ? round_small(quotient + c.zero) : round_small(quotient) + c.zero;
  const float code = clamp_to(rounded, 0.0F, c.top);
  return std::fabs(c.scale * (code - c.zero) - value) * unit;
}

}  // namespace

#if defined(__x86_64__)
// Both versions execute the same IEEE operations in the same order; only their width differs.
__attribute__((target_clones("avx2", "default")))
#endif
float approximate_error(const float* values, std::int64_t count, const ClipCandidate& candidate, float unit, float norm) {
  float sums[kLanes] = {};
  const ClipCandidate c = candidate;
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += power(distance(values[i + lane], c, unit), norm);
  }
  for (std::int64_t lane = 0; i + lane < count; ++lane) sums[lane] += power(distance(values[i + lane], c, unit), norm);
  float total = 0.0F;
  for (const float sum : sums) total += sum;
  return total;
}

}  // namespace lowbit
