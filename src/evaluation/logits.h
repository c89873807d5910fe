#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "lowbit/model/linear_op.h"

namespace lowbit {

/// What one row of logits says of its target.
struct RowScore {
  double log_likelihood = 0;  ///< natural logarithm
  bool greedy = false;        ///< the target is the first largest logit
};
/// Sums in float64 in one order: within parts of `kernels::kOutputPart` logits, each relative to its own largest, then
/// of the parts.
[[nodiscard]] RowScore score_row(std::span<const float> logits, std::int64_t target);

/// What `score_row` keeps of a part of a row.
struct PartScore {
  float largest = 0;      ///< of those that are numbers; -infinity where there is none
  std::int32_t best = 0;  ///< place of the first largest in the part
  double sum = 0;         ///< of exp(logit - largest)
};

/// Scores of rows whose logits come in parts and are not kept; the same bits as `score_row`.
class RowScores : public OutputSink {
 public:
  RowScores(std::int64_t rows, std::int64_t width);
  /// `score(row, target)` is to be asked for. Before the first part comes.
  void want(std::int64_t row, std::int64_t target);
  void take(std::int64_t row, std::int64_t first, std::span<const float> part) override;
  [[nodiscard]] RowScore score(std::int64_t row, std::int64_t target) const;

 private:
  std::size_t parts_;                                                // of a row
  std::vector<PartScore> scores_;                                    // [rows][parts]
  std::vector<std::vector<std::pair<std::int64_t, float>>> wanted_;  // of each row, tokens and their logits
};

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
