#include "evaluation/logits.h"

#include <algorithm>
#include <cmath>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

std::size_t top(std::span<const float> logits) {
  return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

RowScore score_row(std::span<const float> logits, std::int64_t target) {
  LOWBIT_ASSERT(target >= 0 && target < static_cast<std::int64_t>(logits.size()));
  const auto wanted = static_cast<std::size_t>(target);
  const std::size_t best = top(logits);
  const double largest = logits[best];
  double sum = 0;
  for (const float value : logits) sum += std::exp(value - largest);
  return {.log_likelihood = logits[wanted] - largest - std::log(sum), .greedy = best == wanted};
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
  double sum_p = 0;
  double sum_q = 0;
  double weighted = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double a = p[i] - largest_p;
    const double b = q[i] - largest_q;
    const double share = std::exp(a);
    sum_p += share;
    sum_q += std::exp(b);
    if (share > 0) weighted += share * (a - b);  // what p excludes adds nothing, even at -infinity
  }
  const double log_p = p[wanted] - largest_p - std::log(sum_p);
  const double log_q = q[wanted] - largest_q - std::log(sum_q);
  return {.kl = weighted / sum_p - std::log(sum_p) + std::log(sum_q),
          .delta_p = std::exp(log_q) - std::exp(log_p),
          .reference_log_likelihood = log_p,
          .same_top = best_p == best_q};
}

}  // namespace lowbit
