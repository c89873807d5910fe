#include <algorithm>
#include <cmath>
#include <limits>

#include "evaluation/changed_answers.h"
#include "lowbit/base/error.h"
#include "lowbit/evaluation/statistics.h"

namespace lowbit {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// An estimate of a variance and the degrees of freedom of its error.
struct Variance {
  double value = 0;
  double degrees = 0;
};

/// The table of differences as its mean, the effects of seeds and units, and what they leave.
class CrossedTable {
 public:
  explicit CrossedTable(const PairedSample& sample)
      : sample_(sample),
        seeds_(static_cast<double>(sample.differences.size())),
        units_(sample.differences.empty() ? 0.0 : static_cast<double>(sample.differences[0].size())) {
    check();
    shares_.assign(sample.differences[0].size(), 1 / units_);
    double sum = 0;
    for (const double weight : sample.weights) sum += weight;
    for (std::size_t i = 0; i < sample.weights.size(); ++i) shares_[i] = sample.weights[i] / sum;
    find_effects();
  }

  [[nodiscard]] double mean() const { return mean_; }

  [[nodiscard]] Variance of_seeds() const {
    double squares = 0;
    for (const double effect : seed_effects_) squares += effect * effect;
    return {squares / (seeds_ * (seeds_ - 1)), seeds_ - 1};
  }

  /// u^T K u of the units' influences u with Bartlett weights K, which is what resampling moving blocks gives, times
  /// the factor that makes it unbiased for independent units; degrees of freedom 2 E^2 / Var under independent normal
  /// units. With M = 1 - 11^T/n: factor n / tr(MKM), degrees tr(MKM)^2 / tr((MKM)^2). Blocks of one unit: n / (n - 1),
  /// n - 1.
  [[nodiscard]] Variance of_units() const {
    const std::size_t n = unit_effects_.size();
    const std::size_t length =
        sample_.consecutive ? std::max<std::size_t>(1, static_cast<std::size_t>(std::lround(std::cbrt(units_)))) : 1;
    double form = 0;
    double square_sum = 0;  // of all elements of K
    std::vector<double> row_sums(n, 0.0);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t lag = 0; lag < length && i + lag < n; ++lag) {
        const double k = 1 - static_cast<double>(lag) / static_cast<double>(length);
        const double twice = lag == 0 ? 1 : 2;
        form += twice * k * influence(i) * influence(i + lag);
        square_sum += twice * k * k;
        row_sums[i] += k;
        if (lag > 0) row_sums[i + lag] += k;
      }
    }
    double total = 0;
    double row_squares = 0;
    for (const double sum : row_sums) {
      total += sum;
      row_squares += sum * sum;
    }
    const double trace = units_ - total / units_;
    const double trace_of_square = square_sum - 2 * row_squares / units_ + total * total / (units_ * units_);
    return {form * units_ / trace, trace * trace / trace_of_square};
  }

  [[nodiscard]] Variance of_interaction() const {
    double squares = 0;
    for (std::size_t s = 0; s < seed_effects_.size(); ++s) {
      for (std::size_t i = 0; i < unit_effects_.size(); ++i) {
        const double rest = sample_.differences[s][i] - mean_ - seed_effects_[s] - unit_effects_[i];
        squares += shares_[i] * shares_[i] * rest * rest;
      }
    }
    return {squares / (seeds_ * (seeds_ - 1) * (1 - 1 / units_)), (seeds_ - 1) * (units_ - 1)};
  }

 private:
  void check() const {
    if (units_ == 0) fail(ErrorCode::kData, "a comparison of no units was asked for");
    for (const std::vector<double>& row : sample_.differences) {
      if (row.size() == sample_.differences[0].size()) continue;
      fail(ErrorCode::kData, "a paired comparison of {} with {} units", sample_.differences[0].size(), row.size());
    }
    if (!sample_.weights.empty() && sample_.weights.size() != sample_.differences[0].size()) {
      fail(ErrorCode::kData, "a comparison of {} units has {} weights", sample_.differences[0].size(),
           sample_.weights.size());
    }
    for (std::size_t i = 0; i < sample_.weights.size(); ++i) {
      if (sample_.weights[i] > 0) continue;
      fail(ErrorCode::kData, "weight {} of a comparison is {}, expected more than 0", i, sample_.weights[i]);
    }
  }

  void find_effects() {
    unit_effects_.assign(shares_.size(), 0.0);
    for (const std::vector<double>& row : sample_.differences) {
      double sum = 0;
      for (std::size_t i = 0; i < row.size(); ++i) {
        sum += shares_[i] * row[i];
        unit_effects_[i] += row[i] / seeds_;
      }
      seed_effects_.push_back(sum);
      mean_ += sum / seeds_;
    }
    for (double& effect : seed_effects_) effect -= mean_;
    for (double& effect : unit_effects_) effect -= mean_;
  }

  [[nodiscard]] double influence(std::size_t unit) const { return shares_[unit] * unit_effects_[unit]; }

  const PairedSample& sample_;
  double seeds_;
  double units_;
  double mean_ = 0;
  std::vector<double> shares_;  // of the units in the mean
  std::vector<double> seed_effects_, unit_effects_;
};

/// A + B - I with Satterthwaite's degrees of freedom; a difference of estimates can fall short of what is known.
Variance crossed(const Variance& seeds, const Variance& units, const Variance& interaction) {
  const double sum = seeds.value + units.value - interaction.value;
  const Variance& larger = seeds.value > units.value ? seeds : units;
  if (sum <= larger.value) return larger;
  const auto part = [](const Variance& v) { return v.value * v.value / v.degrees; };
  return {sum, sum * sum / (part(seeds) + part(units) + part(interaction))};
}

void set_from_answers(const ChangedAnswers& changed, double level, PairedDifference& result) {
  const auto n = static_cast<double>(changed.n);
  const auto all = static_cast<double>(changed.gained + changed.lost);
  const double squares = all - n * result.difference * result.difference;
  result.degrees = n - 1;
  result.standard_error = changed.n < 2 ? 0 : std::sqrt(std::max(0.0, squares) / (n * (n - 1)));
  const ScoreInterval interval = score_interval(changed, level);
  result.low = interval.low;
  result.high = interval.high;
  result.p_value = mcnemar_p(changed.lost, changed.gained);
}

}  // namespace

double PairedDifference::least_p() const {
  if (changed) return mcnemar_p(0, changed->gained + changed->lost);
  return n < 2 ? 1 : 0;
}

PairedDifference paired_difference(const PairedSample& sample, double level) {
  const CrossedTable table(sample);
  PairedDifference result;
  result.difference = table.mean();
  result.n = static_cast<std::int64_t>(sample.differences[0].size());
  result.seeds = static_cast<std::int64_t>(sample.differences.size());
  result.seeds_are_a_sample = result.seeds >= kLeastSeeds;
  result.changed = changed_answers(sample);
  if (result.n == 1 && !result.changed) {
    result.low = -kInfinity;
    result.high = kInfinity;
    return result;
  }
  if (result.changed) {
    set_from_answers(*result.changed, level, result);
    return result;
  }
  const Variance variance = result.seeds_are_a_sample
                                ? crossed(table.of_seeds(), table.of_units(), table.of_interaction())
                                : table.of_units();
  result.standard_error = std::sqrt(variance.value);
  result.degrees = variance.degrees;
  const double half = student_t_quantile(level, result.degrees) * result.standard_error;
  result.low = result.difference - half;
  result.high = result.difference + half;
  if (result.difference != 0) {
    result.p_value = result.standard_error == 0
                         ? 0
                         : student_t_two_sided_p(result.difference / result.standard_error, result.degrees);
  }
  return result;
}

PairedDifference paired_difference(std::span<const double> a, std::span<const double> b,
                                   std::span<const double> weights, double level) {
  if (a.size() != b.size()) fail(ErrorCode::kData, "a paired comparison of {} with {} units", a.size(), b.size());
  PairedSample sample{.differences = {{}}, .weights = {weights.begin(), weights.end()}, .consecutive = false};
  for (std::size_t i = 0; i < a.size(); ++i) sample.differences[0].push_back(a[i] - b[i]);
  return paired_difference(sample, level);
}

double equivalence_p(const PairedDifference& difference, double margin) {
  if (!(margin > 0)) return 1;
  if (difference.changed) {
    const double not_below = score_upper_p(*difference.changed, -margin);
    const double not_above = 1 - score_upper_p(*difference.changed, margin);
    return std::max(not_below, not_above);
  }
  if (difference.n < 2) return 1;
  const double room = margin - std::abs(difference.difference);
  if (difference.standard_error == 0) return room > 0 ? 0 : 1;
  const double half = student_t_two_sided_p(room / difference.standard_error, difference.degrees) / 2;
  return room > 0 ? half : 1 - half;
}

Verdict judge(double adjusted_p, double adjusted_equivalence_p, double alpha) {
  if (adjusted_equivalence_p < alpha) return Verdict::kEquivalent;
  return adjusted_p < alpha ? Verdict::kDifferent : Verdict::kUndecided;
}

double detectable_difference(const PairedDifference& difference, double alpha, double power) {
  LOWBIT_ASSERT(alpha > 0 && alpha < 1 && power >= 0.5 && power < 1);
  if (difference.n < 2) return kInfinity;
  const double error = difference.changed ? adjusted_error(*difference.changed) : difference.standard_error;
  const double quantiles =
      student_t_quantile(1 - alpha, difference.degrees) + student_t_quantile(2 * power - 1, difference.degrees);
  return quantiles * error;
}

}  // namespace lowbit
