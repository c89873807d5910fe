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

/// Of `n` questions that both sides answered: right on the first side alone, and on the second.
struct ChangedAnswers {
  std::int64_t n = 0;
  std::int64_t gained = 0;
  std::int64_t lost = 0;
};

/// A mean difference with its interval and two-sided p-value: of Student's t, and for one checkpoint's right and wrong
/// answers (`changed`), or those of several where none changed, the score interval and the exact p-value of McNemar's
/// test. One unit that is no answer says nothing of the error: the interval is infinite and p is 1.
struct PairedDifference {
  double difference = 0;
  double standard_error = 0;
  double degrees = 0;  ///< of freedom
  double low = 0;
  double high = 0;
  double p_value = 1;
  std::int64_t n = 0;               ///< units: windows, documents, questions
  std::int64_t seeds = 1;           ///< results that were averaged
  bool seeds_are_a_sample = false;  ///< the interval holds for further seeds too, not for these alone
  std::optional<ChangedAnswers> changed = std::nullopt;
  /// The least p that the data could have given: of few changed answers, had all changed the same way.
  [[nodiscard]] double least_p() const;
};

/// Differences a - b of paired units, once for each seed.
struct PairedSample {
  std::vector<std::vector<double>> differences;  ///< [seeds][units]
  std::vector<double> weights;                   ///< of the units; empty weighs all alike
  bool consecutive = false;                      ///< the units follow each other in one text, so that neighbours depend
  bool answers = false;                          ///< each unit is right (1) or wrong (0) on either side
};
/// With fewer seeds a claim is about the checkpoints that were measured.
inline constexpr std::int64_t kLeastSeeds = 5;

/// The weighted mean over units and seeds. Its variance is that of resampling seeds and units crossed, in closed form
/// with small-sample factors: A + B - I, where A comes from the seeds' means, B from the units' means and I, which both
/// contain, from what neither explains (never less than A or B); degrees of freedom after Satterthwaite. Consecutive
/// units are resampled in moving blocks of the cube root of their number (Bartlett weights). With fewer than
/// `kLeastSeeds` seeds these are taken as they are: the variance is B. One seed and independent units give the paired t
/// test, but where all units are right or wrong answers of equal weight: there see `PairedDifference`. Throws `kData`
/// when there are no units or lengths differ.
[[nodiscard]] PairedDifference paired_difference(const PairedSample& sample, double level = 0.95);
/// Of one seed and independent units.
[[nodiscard]] PairedDifference paired_difference(std::span<const double> a, std::span<const double> b,
                                                 std::span<const double> weights, double level = 0.95);

/// I_x(a, b), the regularized incomplete beta function, for a, b > 0 and x in 0..1. Relative error
/// about 1e-14 for small a and b; it grows with them, to 1e-9 at a million.
[[nodiscard]] double incomplete_beta(double a, double b, double x);
/// Two-sided quantile of Student's t: P(|T| <= x) = level, for level in [0, 1).
[[nodiscard]] double student_t_quantile(double level, double degrees);
/// P(|T| >= |t|).
[[nodiscard]] double student_t_two_sided_p(double t, double degrees);

/// The exact two-sided p-value of McNemar's test: of the pairs that changed, as many would go each way by chance alone.
/// 1 when none changed.
[[nodiscard]] double mcnemar_p(std::int64_t lost, std::int64_t gained);

enum class Verdict { kDifferent, kEquivalent, kUndecided };
/// The p-value of "the difference lies outside -margin..margin": the larger of two one-sided tests (Schuirmann 1987),
/// of t or of the score; 1 without a margin above 0.
[[nodiscard]] double equivalence_p(const PairedDifference& difference, double margin);
/// From p-values that were adjusted over the family. A difference that is inside a margin set beforehand is equivalent
/// even when it is not zero; else it is different when it is not zero; else undecided.
[[nodiscard]] Verdict judge(double adjusted_p, double adjusted_equivalence_p, double alpha);
/// The smallest true difference that a two-sided test at `alpha` would find with probability `power`: the t quantiles
/// of both, times the standard error. Infinite for one unit.
[[nodiscard]] double detectable_difference(const PairedDifference& difference, double alpha, double power = 0.8);

/// Holm's step-down over one family of p-values: adjusted p-values in the order given, to be compared with alpha.
[[nodiscard]] std::vector<double> holm_adjust(std::span<const double> p_values);

/// Benjamini and Hochberg's step-up over one family: of the differences that are called so at level alpha, a share of
/// alpha is expected to be none. It holds for independent tests and for such as rise together.
[[nodiscard]] std::vector<double> benjamini_hochberg_adjust(std::span<const double> p_values);
/// What is kept below alpha over a family: the probability of any false claim, or their expected share.
enum class Correction { kHolm, kBenjaminiHochberg };

/// The q-quantile (0..1) by linear interpolation between the sorted values. Throws `kData` when there are none.
[[nodiscard]] double quantile(std::vector<double> values, double q);

}  // namespace LOWBIT_EXPORT
