#include "lowbit/kernels/two_level.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

namespace lowbit::kernels {

namespace {

constexpr std::uint64_t kMost = 255;

// value = significand * 2^exponent, of a positive number.
struct Parts {
  std::uint64_t significand;
  int exponent;
};
Parts parts_of(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t fraction = bits & 0x7FFFFFU;
  const auto exponent = static_cast<int>(bits >> 23);
  if (exponent == 0) return {fraction, -149};
  return {fraction | 0x800000U, exponent - 150};
}

}  // namespace

std::optional<float> row_scale(std::span<const float> scales) {
  float least = 0.0F;
  float largest = 0.0F;
  for (const float scale : scales) {
    if (std::signbit(scale) || !std::isfinite(scale)) return std::nullopt;
    if (scale == 0.0F) continue;
    least = least == 0.0F ? scale : std::min(least, scale);
    largest = std::max(largest, scale);
  }
  if (largest == 0.0F) return 0.0F;
  // Beyond this there is none; below it exponents differ by 8 at most, and shifted significands fit in 64 bits.
  if (largest > static_cast<float>(kMost) * least) return std::nullopt;
  const int exponent = parts_of(least).exponent;
  std::uint64_t divisor = 0;
  for (const float scale : scales) {
    if (scale == 0.0F) continue;
    const Parts parts = parts_of(scale);
    divisor = std::gcd(divisor, parts.significand << (parts.exponent - exponent));
  }
  const Parts top = parts_of(largest);
  if ((top.significand << (top.exponent - exponent)) / divisor > kMost) return std::nullopt;
  return std::ldexp(static_cast<float>(divisor), exponent);
}

}  // namespace lowbit::kernels
