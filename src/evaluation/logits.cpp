#include "evaluation/logits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "evaluation/exponentials.h"
#include "lowbit/base/error.h"
#include "lowbit/kernels/api.h"

namespace lowbit {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kPart = kernels::kOutputPart;
static_assert(kPart % kLanes == 0);

// Sixteen sums, element i in sum i % 16, added up as a tree.
double sum_of(std::span<const double> values) {
  std::array<double, kLanes> sums{};
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += values[i + lane];
  }
  for (; i < values.size(); ++i) sums[i % kLanes] += values[i];
  for (std::size_t width = kLanes / 2; width > 0; width /= 2) {
    for (std::size_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  }
  return sums[0];
}

// NaN left aside. Lanes, so that the compiler can keep them in vectors.
float largest_of(std::span<const float> logits) {
  std::array<float, kLanes> largest;
  largest.fill(-std::numeric_limits<float>::infinity());
  std::size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      largest[lane] = logits[i + lane] > largest[lane] ? logits[i + lane] : largest[lane];
    }
  }
  for (; i < logits.size(); ++i) largest[0] = logits[i] > largest[0] ? logits[i] : largest[0];
  return *std::max_element(largest.begin(), largest.end());
}

// A part without numbers, or of nothing but -infinity, has no largest to be relative to.
double shift_of(float largest) { return std::isinf(largest) && largest < 0 ? 0.0 : double{largest}; }

std::size_t first_of(std::span<const float> logits, float value) {
  const auto found = std::find(logits.begin(), logits.end(), value);
  return found == logits.end() ? 0 : static_cast<std::size_t>(found - logits.begin());
}

PartScore score_part(std::span<const float> part) {
  PartScore score;
  score.largest = largest_of(part);
  score.best = static_cast<std::int32_t>(first_of(part, score.largest));
  std::array<double, kPart> shares;
  exponentials(part.data(), part.size(), shift_of(score.largest), shares.data());
  score.sum = sum_of(std::span(shares).first(part.size()));
  return score;
}

double scaled(double sum, double shift, double largest) { return sum * std::exp(shift - largest); }

RowScore join(std::span<const PartScore> parts, float logit, std::int64_t target) {
  const auto best = std::ranges::max_element(parts, {}, &PartScore::largest);
  const double largest = best->largest;
  double sum = 0;
  for (const PartScore& part : parts) sum += scaled(part.sum, shift_of(part.largest), largest);
  const auto top = (best - parts.begin()) * static_cast<std::ptrdiff_t>(kPart) + best->best;
  return {.log_likelihood = logit - largest - std::log(sum), .greedy = top == target};
}

// visit(begin, part) for the parts of a row.
template <typename Visit>
void each_part(std::size_t width, Visit visit) {
  for (std::size_t begin = 0; begin < width; begin += kPart) visit(begin, std::min(kPart, width - begin));
}

}  // namespace

RowScore score_row(std::span<const float> logits, std::int64_t target) {
  LOWBIT_ASSERT(target >= 0 && target < static_cast<std::int64_t>(logits.size()));
  std::vector<PartScore> parts;
  parts.reserve(logits.size() / kPart + 1);
  each_part(logits.size(),
            [&](std::size_t begin, std::size_t count) { parts.push_back(score_part(logits.subspan(begin, count))); });
  return join(parts, logits[static_cast<std::size_t>(target)], target);
}

RowScores::RowScores(std::int64_t rows, std::int64_t width)
    : parts_((static_cast<std::size_t>(width) + kPart - 1) / kPart),
      scores_(static_cast<std::size_t>(rows) * parts_),
      wanted_(static_cast<std::size_t>(rows)) {}

void RowScores::want(std::int64_t row, std::int64_t target) {
  wanted_[static_cast<std::size_t>(row)].emplace_back(target, std::numeric_limits<float>::quiet_NaN());
}

void RowScores::take(std::int64_t row, std::int64_t first, std::span<const float> part) {
  const auto at = static_cast<std::size_t>(row);
  scores_[at * parts_ + static_cast<std::size_t>(first) / kPart] = score_part(part);
  for (auto& [target, logit] : wanted_[at]) {
    const std::int64_t place = target - first;
    if (place >= 0 && place < static_cast<std::int64_t>(part.size())) logit = part[static_cast<std::size_t>(place)];
  }
}

RowScore RowScores::score(std::int64_t row, std::int64_t target) const {
  const auto at = static_cast<std::size_t>(row);
  const auto found = std::ranges::find(wanted_[at], target, &std::pair<std::int64_t, float>::first);
  LOWBIT_ASSERT(found != wanted_[at].end());
  return join(std::span(scores_).subspan(at * parts_, parts_), found->second, target);
}

// With e = exp(p - max p) and s, t the sums of e and of exp(q - max q), the divergence is
// sum e ((p - max p) - (q - max q)) / s - ln s + ln t: one exponential of each logit, and exactly 0 for equal rows. The
// sums are those of `score_row`.
RowDivergence compare_rows(std::span<const float> p, std::span<const float> q, std::int64_t target) {
  LOWBIT_ASSERT(p.size() == q.size() && target >= 0 && target < static_cast<std::int64_t>(p.size()));
  const auto wanted = static_cast<std::size_t>(target);
  const float top_p = largest_of(p);
  const float top_q = largest_of(q);
  const double largest_p = top_p;
  const double largest_q = top_q;
  double sum_p = 0;
  double sum_q = 0;
  double weighted = 0;
  std::array<double, kPart> p_share;
  std::array<double, kPart> q_share;
  each_part(p.size(), [&](std::size_t begin, std::size_t count) {
    const double shift_p = shift_of(largest_of(p.subspan(begin, count)));
    const double shift_q = shift_of(largest_of(q.subspan(begin, count)));
    exponentials(p.data() + begin, count, shift_p, p_share.data());
    exponentials(q.data() + begin, count, shift_q, q_share.data());
    sum_p += scaled(sum_of(std::span(p_share).first(count)), shift_p, largest_p);
    sum_q += scaled(sum_of(std::span(q_share).first(count)), shift_q, largest_q);
    for (std::size_t i = 0; i < count; ++i) {
      const double difference = (p[begin + i] - largest_p) - (q[begin + i] - largest_q);
      // What p excludes adds nothing, even at -infinity.
      q_share[i] = p_share[i] > 0 ? p_share[i] * difference : 0.0;
    }
    weighted += scaled(sum_of(std::span(q_share).first(count)), shift_p, largest_p);
  });
  const double log_p = p[wanted] - largest_p - std::log(sum_p);
  const double log_q = q[wanted] - largest_q - std::log(sum_q);
  return {.kl = weighted / sum_p - std::log(sum_p) + std::log(sum_q),
          .delta_p = std::exp(log_q) - std::exp(log_p),
          .reference_log_likelihood = log_p,
          .same_top = first_of(p, top_p) == first_of(q, top_q)};
}

}  // namespace lowbit
