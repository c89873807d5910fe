#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/data/examples.h"
#include "lowbit/evaluation/evaluation.h"

namespace lowbit {

/// What scoring found of one question.
struct ScoredChoices {
  std::vector<double> log_likelihoods;  ///< of each choice behind the context
  std::vector<double> unconditional;    ///< behind an empty context; empty when not asked for
  std::vector<double> characters;       ///< of each choice
  std::vector<double> bytes;            ///< of each choice
  std::vector<bool> greedy;             ///< whether each choice is what greedy decoding would write
  std::vector<std::size_t> gold;
  std::vector<AnswerRole> roles = {};  ///< of each choice, where the task tells them
  bool ambiguous = false;
};

/// The first choice of the highest number, as the field breaks ties.
[[nodiscard]] std::size_t best_choice(std::span<const double> scores);
/// What `metric` compares of each choice: log-likelihoods, over characters, over bytes, or less the unconditional ones.
[[nodiscard]] std::vector<double> compared_scores(const ScoredChoices& question, std::string_view metric);
/// Whether a metric is the mean of parts, one a question.
[[nodiscard]] bool is_mean(std::string_view metric);
/// One question's part of a metric that is a mean of such parts.
[[nodiscard]] double question_score(const ScoredChoices& question, std::string_view metric);
/// Over all questions, with its standard error: of a mean, or by leaving out one question in turn (mcc, f1).
[[nodiscard]] Metric choice_metric(std::span<const ScoredChoices> questions, const std::string& metric);

}  // namespace lowbit
