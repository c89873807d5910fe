#include "evaluation/logits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "evaluation/exponentials.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr std::size_t kLanes = 16;
// Logits at a time, whose exponentials stay in the first-level cache.
constexpr std::size_t kPart = 512;

// The first of the largest, NaN left aside. Lanes, so that the compiler can keep them in vectors.
std::size_t top(std::span<const float> logits) {
  std::array<float, kLanes> largest;
  largest.fill(-std::numeric_limits<float>::infinity());
  std::size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      largest[lane] = logits[i + lane] > largest[lane] ? logits[i + lane] : largest[lane];
    }
  }
  for (; i < logits.size(); ++i) largest[0] = logits[i] > largest[0] ? logits[i] : largest[0];
  const float best = *std::max_element(largest.begin(), largest.end());
  const auto found = std::find(logits.begin(), logits.end(), best);
  return found == logits.end() ? 0 : static_cast<std::size_t>(found - logits.begin());
}

// Sixteen sums, element i in sum i % 16, added up as a tree.
class LaneSum {
 public:
  void add(std::span<const double> values) {
    std::size_t i = 0;
    for (; i + kLanes <= values.size(); i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) sums_[lane] += values[i + lane];
    }
    for (; i < values.size(); ++i) sums_[i % kLanes] += values[i];
  }
  [[nodiscard]] double total() const {
    std::array<double, kLanes> sums = sums_;
    for (std::size_t width = kLanes / 2; width > 0; width /= 2) {
      for (std::size_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
    }
    return sums[0];
  }

 private:
  std::array<double, kLanes> sums_{};
};

}  // namespace

RowScore score_row(std::span<const float> logits, std::int64_t target) {
  LOWBIT_ASSERT(target >= 0 && target < static_cast<std::int64_t>(logits.size()));
  const auto wanted = static_cast<std::size_t>(target);
  const std::size_t best = top(logits);
  const double largest = logits[best];
  LaneSum sum;
  std::array<double, kPart> shares;
  for (std::size_t begin = 0; begin < logits.size(); begin += kPart) {
    const std::size_t count = std::min(kPart, logits.size() - begin);
    exponentials(logits.data() + begin, count, largest, shares.data());
    sum.add(std::span(shares).first(count));
  }
  return {.log_likelihood = logits[wanted] - largest - std::log(sum.total()), .greedy = best == wanted};
}

// With e = exp(p - max p) and s, t the sums of e and of exp(q - max q), the divergence is
// sum e ((p - max p) - (q - max q)) / s - ln s + ln t: one exponential of each logit, and exactly 0 for equal rows.
RowDivergence compare_rows(std::span<const float> p, std::span<const float> q, std::int64_t target) {
  LOWBIT_ASSERT(p.size() == q.size() && target >= 0 && target < static_cast<std::int64_t>(p.size()));
  const auto wanted = static_cast<std::size_t>(target);
  const std::size_t best_p = top(p);
  const std::size_t best_q = top(q);
  const double largest_p = p[best_p];
  const double largest_q = q[best_q];
  LaneSum p_sum;
  LaneSum q_sum;
  LaneSum weighted_sum;
  std::array<double, kPart> p_share;
  std::array<double, kPart> q_share;
  for (std::size_t begin = 0; begin < p.size(); begin += kPart) {
    const std::size_t count = std::min(kPart, p.size() - begin);
    exponentials(p.data() + begin, count, largest_p, p_share.data());
    exponentials(q.data() + begin, count, largest_q, q_share.data());
    p_sum.add(std::span(p_share).first(count));
    q_sum.add(std::span(q_share).first(count));
    for (std::size_t i = 0; i < count; ++i) {
      const double difference = (p[begin + i] - largest_p) - (q[begin + i] - largest_q);
      // What p excludes adds nothing, even at -infinity.
      q_share[i] = p_share[i] > 0 ? p_share[i] * difference : 0.0;
    }
    weighted_sum.add(std::span(q_share).first(count));
  }
  const double sum_p = p_sum.total();
  const double sum_q = q_sum.total();
  const double weighted = weighted_sum.total();
  const double log_p = p[wanted] - largest_p - std::log(sum_p);
  const double log_q = q[wanted] - largest_q - std::log(sum_q);
  return {.kl = weighted / sum_p - std::log(sum_p) + std::log(sum_q),
          .delta_p = std::exp(log_q) - std::exp(log_p),
          .reference_log_likelihood = log_p,
          .same_top = best_p == best_q};
}

}  // namespace lowbit
