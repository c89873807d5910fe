#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

// E4M3 as OCP defines it, by search among its numbers.
namespace lowbit::kernels::cuda::testing {

/// Of each code.
inline const std::vector<float>& e4m3_numbers() {
  static const std::vector<float> numbers = [] {
    std::vector<float> result;
    for (int code = 0; code < 256; ++code) {
      const int exponent = code % 128 / 8;
      const int fraction = code % 8;
      float value = std::ldexp(static_cast<float>(exponent == 0 ? fraction : 8 + fraction), std::max(exponent, 1) - 10);
      if (code % 128 == 127) value = std::numeric_limits<float>::quiet_NaN();
      result.push_back(code < 128 ? value : -value);
    }
    return result;
  }();
  return numbers;
}

/// The code of the nearest number, of two that are as near the even one.
inline std::uint8_t nearest_code(float value) {
  const double magnitude = std::fabs(static_cast<double>(value));
  int best = 0;
  double least = HUGE_VAL;
  for (int code = 0; code < 127; ++code) {
    const double distance = std::fabs(static_cast<double>(e4m3_numbers()[static_cast<std::size_t>(code)]) - magnitude);
    if (distance < least || (distance == least && code % 2 == 0)) best = code;
    least = std::min(least, distance);
  }
  return static_cast<std::uint8_t>(best + (std::signbit(value) ? 128 : 0));
}

}  // namespace lowbit::kernels::cuda::testing
