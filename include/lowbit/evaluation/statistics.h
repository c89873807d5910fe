#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// Mean and its standard error (sample standard deviation / sqrt(n)); error 0 for one value.
struct MeanEstimate {
  double mean = 0;
  double standard_error = 0;
  std::int64_t n = 0;
  /// The error times `factor` as a metric shows it: nothing for a single value, which has none.
  [[nodiscard]] std::optional<double> scaled_error(double factor = 1) const {
    return n < 2 ? std::nullopt : std::optional(standard_error * factor);
  }
};
[[nodiscard]] MeanEstimate mean_of(std::span<const double> values);
/// sum w x / sum w with the standard error of a ratio of sums over independent units (delta method); equal weights give
/// what `mean_of` gives. Weights must be positive.
[[nodiscard]] MeanEstimate weighted_mean_of(std::span<const double> values, std::span<const double> weights);

/// The weighted mean of a - b over paired units, with a t interval of the given level and a two-sided p-value (n - 1
/// degrees of freedom). Empty `weights` weigh all units alike. Throws `kData` when the lengths differ or there are no
/// units. One unit says nothing of the error: the interval is infinite and p is 1.
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

/// I_x(a, b), the regularized incomplete beta function, for a, b > 0 and x in 0..1. Relative error
/// about 1e-14 for small a and b; it grows with them, to 1e-9 at a million.
[[nodiscard]] double incomplete_beta(double a, double b, double x);
/// Two-sided quantile of Student's t: P(|T| <= x) = level, for level in [0, 1).
[[nodiscard]] double student_t_quantile(double level, double degrees);
/// P(|T| >= |t|).
[[nodiscard]] double student_t_two_sided_p(double t, double degrees);

enum class Verdict { kDifferent, kEquivalent, kUndecided };
/// `adjusted_p` below `alpha`: different. Else, with a `margin` above 0 set beforehand: equivalent when two one-sided t
/// tests at `alpha` put the difference inside -margin..margin (Schuirmann 1987). Else undecided.
[[nodiscard]] Verdict judge(const PairedDifference& difference, double adjusted_p, double alpha, double margin);
/// The smallest true difference that a two-sided test at `alpha` would find with probability `power`: the t quantiles
/// of both, times the standard error. Infinite for one unit.
[[nodiscard]] double detectable_difference(const PairedDifference& difference, double alpha, double power = 0.8);

/// Holm's step-down over one family of p-values: adjusted p-values in the order given, to be compared with alpha.
[[nodiscard]] std::vector<double> holm_adjust(std::span<const double> p_values);

/// The q-quantile (0..1) by linear interpolation between the sorted values. Throws `kData` when there are none.
[[nodiscard]] double quantile(std::vector<double> values, double q);

}  // namespace LOWBIT_EXPORT
