#pragma once

#include <cstdint>
#include <span>

namespace lowbit {

/// What one row of logits says of its target.
struct RowScore {
  double log_likelihood = 0;  ///< natural logarithm
  bool greedy = false;        ///< the target is the first largest logit
};
/// Sums in float64 in one order, that of sixteen interleaved sums.
[[nodiscard]] RowScore score_row(std::span<const float> logits, std::int64_t target);

/// How far the distribution q of one position lies from the reference p.
struct RowDivergence {
  double kl = 0;                        ///< sum p (ln p - ln q), over the whole vocabulary
  double delta_p = 0;                   ///< q - p of the target
  double reference_log_likelihood = 0;  ///< ln p of the target
  bool same_top = false;                ///< the same first largest logit
};
/// From the logits of both, of equal length.
[[nodiscard]] RowDivergence compare_rows(std::span<const float> p, std::span<const float> q, std::int64_t target);

}  // namespace lowbit
