#include "lowbit/evaluation/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

/// The continued fraction of I_x(a, b) by Lentz's method (DLMF 8.17.22); converges fast for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  constexpr int kMostTerms = 20000;
  const auto away_from_zero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1;
  double d = 1 / away_from_zero(1 - (a + b) * x / (a + 1));
  double result = d;
  for (int m = 1; m <= kMostTerms; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    result *= c * d;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    result *= c * d;
    if (std::abs(c * d - 1) < 1e-16) break;
  }
  return result;
}

}  // namespace

MeanEstimate mean_of(std::span<const double> values) {
  const std::vector<double> weights(values.size(), 1.0);
  return weighted_mean_of(values, weights);
}

MeanEstimate weighted_mean_of(std::span<const double> values, std::span<const double> weights) {
  if (values.empty()) fail(ErrorCode::kData, "a mean of no values was asked for");
  if (values.size() != weights.size()) {
    fail(ErrorCode::kData, "a mean of {} values has {} weights", values.size(), weights.size());
  }
  double weight_sum = 0;
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!(weights[i] > 0)) fail(ErrorCode::kData, "weight {} of a mean is {}, expected more than 0", i, weights[i]);
    weight_sum += weights[i];
    sum += weights[i] * values[i];
  }
  MeanEstimate estimate{.mean = sum / weight_sum, .standard_error = 0, .n = static_cast<std::int64_t>(values.size())};
  if (values.size() == 1) return estimate;
  double squares = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double deviation = weights[i] * (values[i] - estimate.mean);
    squares += deviation * deviation;
  }
  const auto n = static_cast<double>(values.size());
  estimate.standard_error = std::sqrt(squares * n / (n - 1)) / weight_sum;
  return estimate;
}

double incomplete_beta(double a, double b, double x) {
  LOWBIT_ASSERT(a > 0 && b > 0 && x >= 0 && x <= 1);
  if (x == 0 || x == 1) return x;
  const double log_front = std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x);
  if (x < (a + 1) / (a + b + 2)) return std::exp(log_front) * beta_fraction(a, b, x) / a;
  return 1 - std::exp(log_front) * beta_fraction(b, a, 1 - x) / b;
}

// P(|T| >= t) = I_x(degrees / 2, 1 / 2) with x = degrees / (degrees + t^2), and 1 - x is computed without cancellation.
double student_t_two_sided_p(double t, double degrees) {
  LOWBIT_ASSERT(degrees > 0);
  if (std::isnan(t)) return std::numeric_limits<double>::quiet_NaN();
  const double square = t * t;
  if (std::isinf(square)) return 0;
  if (square < degrees) return 1 - incomplete_beta(0.5, degrees / 2, square / (degrees + square));
  return incomplete_beta(degrees / 2, 0.5, degrees / (degrees + square));
}

double student_t_quantile(double level, double degrees) {
  LOWBIT_ASSERT(level >= 0 && level < 1 && degrees > 0);
  const double tail = 1 - level;
  double low = 0;
  double high = 1;
  while (student_t_two_sided_p(high, degrees) > tail) high *= 2;
  while (true) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return middle;
    (student_t_two_sided_p(middle, degrees) > tail ? low : high) = middle;
  }
}

// 2 P(Bin(n, 1/2) <= k) = 2 I_{1/2}(n - k, k + 1)
double mcnemar_p(std::int64_t lost, std::int64_t gained) {
  LOWBIT_ASSERT(lost >= 0 && gained >= 0);
  if (lost == gained) return 1;
  const auto fewer = static_cast<double>(std::min(lost, gained));
  const auto more = static_cast<double>(std::max(lost, gained));
  return std::min(1.0, 2 * incomplete_beta(more, fewer + 1, 0.5));
}

std::vector<double> holm_adjust(std::span<const double> p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double running = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    running = std::max(running, std::min(1.0, static_cast<double>(order.size() - i) * p_values[order[i]]));
    adjusted[order[i]] = running;
  }
  return adjusted;
}

std::vector<double> benjamini_hochberg_adjust(std::span<const double> p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p_values[a] > p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double running = 1;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto rank = static_cast<double>(order.size() - i);  // from the smallest, 1
    running = std::min(running, static_cast<double>(order.size()) / rank * p_values[order[i]]);
    adjusted[order[i]] = running;
  }
  return adjusted;
}

double quantile(std::vector<double> values, double q) {
  LOWBIT_ASSERT(q >= 0 && q <= 1);
  if (values.empty()) fail(ErrorCode::kData, "a quantile of no values was asked for");
  std::sort(values.begin(), values.end());
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  if (below + 1 >= values.size()) return values.back();
  const double share = place - static_cast<double>(below);
  return values[below] + share * (values[below + 1] - values[below]);
}

}  // namespace lowbit
