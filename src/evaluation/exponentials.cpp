#include "evaluation/exponentials.h"

#include <bit>
#include <cstdint>

#include "base/every_isa.h"

namespace lowbit {
namespace {

// exp(x) = 2^n exp(r) with n the integer nearest to x / ln 2 and |r| <= ln(2) / 2. The Taylor polynomial of degree 13
// leaves r^14 / 14! < 5e-18. ln 2 is taken in two parts, of which n times the first is exact for |n| < 2048.
[[gnu::always_inline]] inline double exponential(double x) {
  constexpr double kRounder = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer in the lowest bits
  constexpr double kInverseLn2 = 1.4426950408889634;
  constexpr double kLn2High = 0.693147180369123816490;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  constexpr double kLowest = -707.0;  // above the logarithm of the least normal number
  const double bounded = x < kLowest ? kLowest : x;
  const double shifted = bounded * kInverseLn2 + kRounder;
  const double n = shifted - kRounder;
  const double r = (bounded - n * kLn2High) - n * kLn2Low;
  double sum = 1.0 / 6227020800.0;
  sum = sum * r + 1.0 / 479001600.0;
  sum = sum * r + 1.0 / 39916800.0;
  sum = sum * r + 1.0 / 3628800.0;
  sum = sum * r + 1.0 / 362880.0;
  sum = sum * r + 1.0 / 40320.0;
  sum = sum * r + 1.0 / 5040.0;
  sum = sum * r + 1.0 / 720.0;
  sum = sum * r + 1.0 / 120.0;
  sum = sum * r + 1.0 / 24.0;
  sum = sum * r + 1.0 / 6.0;
  sum = sum * r + 0.5;
  sum = sum * r * r + r;
  const auto exponent = static_cast<std::uint64_t>(std::bit_cast<std::int64_t>(shifted) + 1023) << 52;
  const double power = std::bit_cast<double>(exponent);
  const double result = power + power * sum;
  return x < kLowest ? 0.0 : result;
}

}  // namespace

LOWBIT_EVERY_ISA
void exponentials(const float* logits, std::size_t count, double shift, double* result) {
  for (std::size_t i = 0; i < count; ++i) result[i] = exponential(static_cast<double>(logits[i]) - shift);
}

}  // namespace lowbit
