#include "evaluation/choice_metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "evaluation/bias_metrics.h"
#include "lowbit/base/error.h"
#include "lowbit/evaluation/statistics.h"

namespace lowbit {
namespace {

bool is_gold(const ScoredChoices& question, std::size_t choice) {
  return std::find(question.gold.begin(), question.gold.end(), choice) != question.gold.end();
}

std::vector<double> probabilities(std::span<const double> log_likelihoods) {
  const double highest = *std::max_element(log_likelihoods.begin(), log_likelihoods.end());
  std::vector<double> result;
  double sum = 0;
  for (const double value : log_likelihoods) sum += result.emplace_back(std::exp(value - highest));
  for (double& value : result) value /= sum;
  return result;
}

/// The place of a choice when all are sorted from the likeliest, from 1; of equal ones that of the first place.
std::size_t rank_of(const ScoredChoices& question, std::size_t choice) {
  const double own = question.log_likelihoods[choice];
  const auto above = std::count_if(question.log_likelihoods.begin(), question.log_likelihoods.end(),
                                   [&](double other) { return other > own; });
  return static_cast<std::size_t>(above) + 1;
}

/// The place of the best right choice.
std::size_t rank_of_gold(const ScoredChoices& question) {
  std::size_t best = question.log_likelihoods.size();
  for (const std::size_t gold : question.gold) best = std::min(best, rank_of(question, gold));
  return best;
}

/// The share of the right choices that are among the `depth` likeliest.
double recall_at(std::size_t depth, const ScoredChoices& question) {
  const auto found = std::count_if(question.gold.begin(), question.gold.end(),
                                   [&](std::size_t gold) { return rank_of(question, gold) <= depth; });
  return static_cast<double>(found) / static_cast<double>(question.gold.size());
}

double brier(const ScoredChoices& question) {
  const std::vector<double> p = probabilities(question.log_likelihoods);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double target = is_gold(question, i) ? 1.0 : 0.0;
    sum += (p[i] - target) * (p[i] - target);
  }
  return sum;
}

double likelihood_difference(const ScoredChoices& question) {
  if (question.log_likelihoods.size() != 2) {
    fail(ErrorCode::kConfig, "metric 'likelihood_diff' is the distance of two choices, a question has {}",
         question.log_likelihoods.size());
  }
  return std::abs(question.log_likelihoods[0] - question.log_likelihoods[1]);
}

/// How often answer `first` was given where `second` was right.
using Confusion = std::map<std::pair<std::size_t, std::size_t>, double>;

double f1_of_choice(const Confusion& counts, std::size_t choice) {
  double both = 0, given = 0, right = 0;
  for (const auto& [pair, count] : counts) {
    if (pair.first == choice) given += count;
    if (pair.second == choice) right += count;
    if (pair.first == choice && pair.second == choice) both += count;
  }
  return given + right == 0 ? 0.0 : 2 * both / (given + right);
}

/// F1 of choice 1 as the positive one.
double f1_of(const Confusion& counts) { return f1_of_choice(counts, 1); }

/// The mean F1 of all choices that are given or right somewhere.
double macro_f1_of(const Confusion& counts) {
  std::set<std::size_t> choices;
  for (const auto& [pair, count] : counts) {
    if (count > 0) choices.insert({pair.first, pair.second});
  }
  double sum = 0;
  for (const std::size_t choice : choices) sum += f1_of_choice(counts, choice);
  return sum / static_cast<double>(choices.size());
}

/// Matthews' correlation for any number of classes (Gorodkin 2004); 0 where it is not defined.
double mcc_of(const Confusion& counts) {
  std::map<std::size_t, double> given, right;
  double total = 0, correct = 0;
  for (const auto& [pair, count] : counts) {
    given[pair.first] += count;
    right[pair.second] += count;
    total += count;
    if (pair.first == pair.second) correct += count;
  }
  double product = 0, given_squares = 0, right_squares = 0;
  for (const auto& [choice, count] : given) {
    given_squares += count * count;
    product += count * right[choice];
  }
  for (const auto& [choice, count] : right) right_squares += count * count;
  const double square = (total * total - given_squares) * (total * total - right_squares);
  return square <= 0 ? 0.0 : (correct * total - product) / std::sqrt(square);
}

/// The value over all questions and its jackknife error, sqrt((n - 1)/n sum (x_i - mean)^2) over the values without one
/// question; questions of the same answer and gold are alike.
Metric over_confusion(std::span<const ScoredChoices> questions, const std::string& name,
                      double (*value_of)(const Confusion&)) {
  Confusion counts;
  for (const ScoredChoices& question : questions) {
    counts[{best_choice(question.log_likelihoods), question.gold.front()}] += 1;
  }
  Metric metric{.name = name, .value = value_of(counts), .standard_error = std::nullopt, .higher_is_better = true};
  const auto n = static_cast<double>(questions.size());
  if (n < 2) return metric;
  std::vector<std::pair<double, double>> left_out;  // value, how many questions give it
  double mean = 0;
  for (const auto& [pair, count] : counts) {
    Confusion without = counts;
    without[pair] -= 1;
    left_out.emplace_back(value_of(without), count);
    mean += left_out.back().first * count / n;
  }
  double squares = 0;
  for (const auto& [value, count] : left_out) squares += count * (value - mean) * (value - mean);
  metric.standard_error = std::sqrt((n - 1) / n * squares);
  return metric;
}

/// exp of the mean negative log-likelihood of the right answers; its error by the delta method.
Metric target_perplexity(std::span<const ScoredChoices> questions) {
  std::vector<double> losses;
  for (const ScoredChoices& question : questions) losses.push_back(-question.log_likelihoods[question.gold.front()]);
  const MeanEstimate mean = mean_of(losses);
  const double value = std::exp(mean.mean);
  return {.name = "target_perplexity",
          .value = value,
          .standard_error = mean.scaled_error(value),
          .higher_is_better = false};
}

}  // namespace

std::size_t best_choice(std::span<const double> scores) {
  return static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

bool is_mean(std::string_view metric) {
  return metric != "mcc" && metric != "f1" && metric != "macro_f1" && metric != "target_perplexity" &&
         !needs_bias_roles(metric);
}

std::vector<double> compared_scores(const ScoredChoices& question, std::string_view metric) {
  std::vector<double> scores = question.log_likelihoods;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (metric == "acc_norm") scores[i] /= question.characters[i];
    if (metric == "acc_bytes") scores[i] /= question.bytes[i];
    if (metric == "acc_mutual_info") scores[i] -= question.unconditional[i];
  }
  return scores;
}

double question_score(const ScoredChoices& question, std::string_view metric) {
  if (metric.starts_with("acc")) return is_gold(question, best_choice(compared_scores(question, metric))) ? 1.0 : 0.0;
  if (metric == "greedy_acc") return question.greedy[question.gold.front()] ? 1.0 : 0.0;
  if (metric == "brier_score") return brier(question);
  if (metric == "mrr") return 1.0 / static_cast<double>(rank_of_gold(question));
  if (metric == "likelihood_diff") return likelihood_difference(question);
  if (const std::optional<std::size_t> depth = recall_depth(metric)) return recall_at(*depth, question);
  LOWBIT_ASSERT(metric == "mc2");
  const std::vector<double> p = probabilities(question.log_likelihoods);
  double sum = 0;
  for (const std::size_t gold : question.gold) sum += p[gold];
  return sum;
}

Metric choice_metric(std::span<const ScoredChoices> questions, const std::string& metric) {
  if (metric == "mcc") return over_confusion(questions, metric, mcc_of);
  if (metric == "f1") return over_confusion(questions, metric, f1_of);
  if (metric == "macro_f1") return over_confusion(questions, metric, macro_f1_of);
  if (metric == "target_perplexity") return target_perplexity(questions);
  if (needs_bias_roles(metric)) return bias_metric(questions, metric);
  std::vector<double> scores;
  for (const ScoredChoices& question : questions) scores.push_back(question_score(question, metric));
  const MeanEstimate mean = mean_of(scores);
  return {.name = metric,
          .value = mean.mean,
          .standard_error = mean.scaled_error(),
          .higher_is_better = metric != "brier_score" && metric != "likelihood_diff"};
}

}  // namespace lowbit
