#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/data/examples.h"
#include "lowbit/evaluation/evaluation.h"

namespace lowbit {

/// What a model wrote, the right answers, and what a task's first rule takes for its answer, then the second's ...
struct WrittenAnswer {
  std::string text;
  std::vector<std::string> references;
  std::vector<std::string> found;
};
/// Finds the answers in a text by the rules. White space around them does not count.
[[nodiscard]] WrittenAnswer find_answers(std::string text, std::vector<std::string> references,
                                         const GenerationTask& rules);

/// Whether a metric is the mean of parts, one an answer; bleu, chrf and entity_f1 count over all answers together.
[[nodiscard]] bool is_answer_mean(std::string_view metric);
/// One answer's part of a metric, by the rule with the number `rule`, the best one over its references. Of those
/// three, the metric of this answer alone.
[[nodiscard]] double answer_score(const WrittenAnswer& answer, const std::string& metric, std::size_t rule,
                                  const GenerationTask& rules);
/// Over all answers, with its standard error: of a mean, or by leaving out one answer in turn.
[[nodiscard]] Metric answer_metric(std::span<const WrittenAnswer> answers, const std::string& metric, std::size_t rule,
                                   const GenerationTask& rules);

}  // namespace lowbit
