#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// Mean and its standard error (sample standard deviation / sqrt(n)); error 0 for one value.
struct MeanEstimate {
  double mean = 0;
  double standard_error = 0;
  std::int64_t n = 0;
};
[[nodiscard]] MeanEstimate mean_of(std::span<const double> values);
/// Weighted mean with the standard error of a ratio of sums over independent units (delta method).
[[nodiscard]] MeanEstimate weighted_mean_of(std::span<const double> values, std::span<const double> weights);

/// The mean of a - b over paired units, with a paired t interval of the given level.
struct PairedDifference {
  double difference = 0;
  double standard_error = 0;
  double low = 0;
  double high = 0;
  double p_value = 1;
  std::int64_t n = 0;
};
[[nodiscard]] PairedDifference paired_difference(std::span<const double> a, std::span<const double> b,
                                                 std::span<const double> weights, double level = 0.95);
/// Two-sided quantile of Student's t: P(|T| <= x) = level.
[[nodiscard]] double student_t_quantile(double level, double degrees);
[[nodiscard]] double student_t_two_sided_p(double t, double degrees);

enum class Verdict { kDifferent, kEquivalent, kUndecided };
/// Holm's step-down over one family of p-values, at `alpha`: adjusted p-values in the order given.
[[nodiscard]] std::vector<double> holm_adjust(std::span<const double> p_values);

/// The q-quantile (0..1) by linear interpolation of the sorted values.
[[nodiscard]] double quantile(std::vector<double> values, double q);

}  // namespace lowbit
