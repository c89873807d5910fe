#pragma once

#include <cstdint>
#include <optional>

#include "lowbit/evaluation/statistics.h"

namespace lowbit {

/// The counts where every unit is right or wrong on both sides of one checkpoint's comparison and all weigh alike; else
/// nothing. Several checkpoints count as one where no answer changed in any: that is at most as likely as in one, and
/// their t interval would have no width.
[[nodiscard]] std::optional<ChangedAnswers> changed_answers(const PairedSample& sample);

struct ScoreInterval {
  double low = 0;
  double high = 0;
};
/// The interval of the difference of two paired proportions whose score test is not rejected (Tango 1998, Statistics in
/// Medicine 17, 891). Unlike a t interval it has a width where no answer changed.
[[nodiscard]] ScoreInterval score_interval(const ChangedAnswers& changed, double level);
/// P(Z >= z) of the score test that the difference is `difference` against a larger one.
[[nodiscard]] double score_upper_p(const ChangedAnswers& changed, double difference);
/// Of the mean difference, half an answer added to each count (Agresti and Min 2005), so that it is never 0.
[[nodiscard]] double adjusted_error(const ChangedAnswers& changed);

}  // namespace lowbit
