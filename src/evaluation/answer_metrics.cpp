#include "evaluation/answer_metrics.h"

#include <algorithm>
#include <cmath>

#include "data/answer_pattern.h"
#include "data/unicode_text.h"
#include "lowbit/base/error.h"
#include "lowbit/evaluation/statistics.h"
#include "metrics/entities.h"
#include "metrics/rouge.h"
#include "metrics/squad.h"
#include "metrics/translation.h"
#include "metrics/words.h"

namespace lowbit {
namespace {

std::string trimmed(std::string_view text) { return std::string(trim_end(trim_start(text))); }

std::string answer_by(const AnswerRule& rule, const std::string& text) {
  if (rule.pattern.empty()) return trimmed(text);
  const std::vector<std::string> matches = AnswerPattern(rule.pattern).find_all(text);
  if (matches.empty()) return rule.missing;
  const std::string answer = trimmed(rule.last ? matches.back() : matches.front());
  return answer.empty() ? rule.missing : answer;
}

std::string compared(std::string text, const GenerationTask& rules) {
  for (const std::string& pattern : rules.ignore) text = AnswerPattern(pattern).erase_all(text);
  if (rules.ignore_case) text = lower_case(text);
  return trimmed(rules.ignore_punctuation ? without_punctuation(text) : text);
}

double score(const std::string& answer, const std::string& reference, const std::string& metric,
             const GenerationTask& rules) {
  if (metric == "exact_match") return compared(answer, rules) == compared(reference, rules) ? 1.0 : 0.0;
  if (metric == "squad_em") return squad_exact_match(answer, reference);
  if (metric == "squad_f1") return squad_f1(answer, reference);
  if (metric == "rouge1") return rouge_n(answer, reference, 1);
  if (metric == "entity_f1") return entity_f1(answer, reference);
  if (metric == "rouge2") return rouge_n(answer, reference, 2);
  LOWBIT_ASSERT(metric == "rougeL");
  return rouge_l(answer, reference);
}

/// A Chinese reference is cut into characters, as it has no blanks.
BleuWords words_for(const std::vector<std::string>& references) {
  const auto wide = [](std::string_view character) { return character.size() == 3 && character >= "\u4E00"; };
  const std::vector<std::string_view> characters = characters_of(references.front());
  return std::any_of(characters.begin(), characters.end(), wide) ? BleuWords::kChinese : BleuWords::k13a;
}

/// The value over all answers and its jackknife error.
template <typename Counts, typename Value>
Metric over_counts(const std::vector<Counts>& counts, const std::string& name, Value value_of) {
  Counts all;
  for (const Counts& one : counts) all += one;
  Metric metric{.name = name, .value = value_of(all), .standard_error = std::nullopt, .higher_is_better = true};
  if (counts.size() < 2) return metric;
  std::vector<double> left_out;
  for (const Counts& one : counts) {
    Counts others = all;
    others -= one;
    left_out.push_back(value_of(others));
  }
  const auto n = static_cast<double>(counts.size());
  const double mean = mean_of(left_out).mean;
  double squares = 0;
  for (const double value : left_out) squares += (value - mean) * (value - mean);
  metric.standard_error = std::sqrt((n - 1) / n * squares);
  return metric;
}

std::string name_of(const std::string& metric, const AnswerRule& rule) {
  return rule.name.empty() ? metric : metric + " " + rule.name;
}

}  // namespace

WrittenAnswer find_answers(std::string text, std::vector<std::string> references, const GenerationTask& rules) {
  WrittenAnswer answer{.text = std::move(text), .references = std::move(references), .found = {}};
  for (const AnswerRule& rule : rules.answers) answer.found.push_back(answer_by(rule, answer.text));
  return answer;
}

bool is_answer_mean(std::string_view metric) { return metric != "bleu" && metric != "chrf" && metric != "entity_f1"; }

double answer_score(const WrittenAnswer& answer, const std::string& metric, std::size_t rule,
                    const GenerationTask& rules) {
  const std::string& found = answer.found[rule];
  if (metric == "bleu") return bleu(bleu_counts(found, answer.references, words_for(answer.references)));
  if (metric == "chrf") return chrf(chrf_counts(found, answer.references));
  double best = 0;
  for (const std::string& reference : answer.references) {
    best = std::max(best, score(found, reference, metric, rules));
  }
  return best;
}

Metric answer_metric(std::span<const WrittenAnswer> answers, const std::string& metric, std::size_t rule,
                     const GenerationTask& rules) {
  const std::string name = name_of(metric, rules.answers[rule]);
  if (metric == "bleu") {
    std::vector<BleuCounts> counts;
    for (const WrittenAnswer& answer : answers) {
      counts.push_back(bleu_counts(answer.found[rule], answer.references, words_for(answer.references)));
    }
    return over_counts(counts, name, bleu);
  }
  if (metric == "chrf") {
    std::vector<ChrfCounts> counts;
    for (const WrittenAnswer& answer : answers) counts.push_back(chrf_counts(answer.found[rule], answer.references));
    return over_counts(counts, name, chrf);
  }
  if (metric == "entity_f1") {
    std::vector<EntityCounts> counts;
    for (const WrittenAnswer& answer : answers) {
      counts.push_back(entity_counts(answer.found[rule], answer.references.front()));
    }
    return over_counts(counts, name, [](const EntityCounts& all) { return entity_f1(all); });
  }
  std::vector<double> scores;
  for (const WrittenAnswer& answer : answers) scores.push_back(answer_score(answer, metric, rule, rules));
  const MeanEstimate mean = mean_of(scores);
  return {.name = name, .value = mean.mean, .standard_error = mean.scaled_error(), .higher_is_better = true};
}

}  // namespace lowbit
