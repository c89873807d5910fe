#include "evaluation/changed_answers.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace lowbit {
namespace {

/// How far the observed difference lies above `difference`, in standard errors under it. With g answers gained, l lost
/// of n, the probability q of a loss under the constraint solves 2n q^2 + B q + C = 0 (Tango 1998, equation 4).
double score(const ChangedAnswers& changed, double difference) {
  const auto n = static_cast<double>(changed.n);
  const auto gained = static_cast<double>(changed.gained);
  const auto lost = static_cast<double>(changed.lost);
  const double b = -gained - lost + (2 * n - gained + lost) * difference;
  const double c = -lost * difference * (1 - difference);
  const double loss = (std::sqrt(std::max(0.0, b * b - 8 * n * c)) - b) / (4 * n);
  const double variance = n * (2 * loss + difference * (1 - difference));
  const double distance = gained - lost - n * difference;
  if (variance > 0) return distance / std::sqrt(variance);
  return distance == 0 ? 0 : std::copysign(std::numeric_limits<double>::infinity(), distance);
}

double normal_upper_p(double z) { return std::erfc(z / std::numbers::sqrt2) / 2; }

/// Where the score, which falls with the difference, is `wanted`.
double difference_at(const ChangedAnswers& changed, double wanted) {
  double low = -1;
  double high = 1;
  while (true) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return middle;
    (score(changed, middle) > wanted ? low : high) = middle;
  }
}

double normal_quantile_two_sided(double level) {
  double low = 0;
  double high = 40;  // beyond it the normal tail is below the smallest double
  while (true) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return middle;
    (2 * normal_upper_p(middle) > 1 - level ? low : high) = middle;
  }
}

bool none_changed(const PairedSample& sample) {
  return std::all_of(sample.differences.begin(), sample.differences.end(), [](const std::vector<double>& row) {
    return std::all_of(row.begin(), row.end(), [](double difference) { return difference == 0; });
  });
}

}  // namespace

std::optional<ChangedAnswers> changed_answers(const PairedSample& sample) {
  if (!sample.answers || sample.differences.empty() || sample.consecutive) return std::nullopt;
  if (sample.differences.size() > 1 && !none_changed(sample)) return std::nullopt;
  const auto alike = [&](double weight) { return weight == sample.weights.front(); };
  if (!std::all_of(sample.weights.begin(), sample.weights.end(), alike)) return std::nullopt;
  ChangedAnswers changed;
  for (const double difference : sample.differences.front()) {
    ++changed.n;
    if (difference > 0) ++changed.gained;
    if (difference < 0) ++changed.lost;
  }
  return changed;
}

ScoreInterval score_interval(const ChangedAnswers& changed, double level) {
  const double z = normal_quantile_two_sided(level);
  return {.low = difference_at(changed, z), .high = difference_at(changed, -z)};
}

double score_upper_p(const ChangedAnswers& changed, double difference) {
  return normal_upper_p(score(changed, difference));
}

double adjusted_error(const ChangedAnswers& changed) {
  const double n = static_cast<double>(changed.n) + 2;
  const double all = static_cast<double>(changed.gained + changed.lost) + 1;
  const auto net = static_cast<double>(changed.gained - changed.lost);
  return std::sqrt(all - net * net / n) / n;
}

}  // namespace lowbit
