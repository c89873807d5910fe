#include "evaluation/multiple_choice.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/unicode_text.h"
#include "evaluation/choice_metrics.h"
#include "evaluation/choice_requests.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr const char* kUnconditional = "acc_mutual_info";

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

ScoredChoices scored(const Example& example, std::span<const Score> scores) {
  ScoredChoices question;
  question.gold = example.gold;
  question.roles = example.roles;
  question.ambiguous = example.ambiguous;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    (i < example.choices.size() ? question.log_likelihoods : question.unconditional).push_back(scores[i].sum());
    const std::vector<bool>& greedy = scores[i].greedy;
    question.greedy.push_back(std::all_of(greedy.begin(), greedy.end(), [](bool g) { return g; }));
  }
  for (const std::string& choice : example.choices) {
    question.characters.push_back(static_cast<double>(count_characters(choice)));
    question.bytes.push_back(static_cast<double>(choice.size()));
  }
  return question;
}

/// The record of one question: what was right and given, by how much the right answer was ahead, and every likelihood.
EvaluationResult::Item make_item(const Example& example, const ScoredChoices& question, const std::string& headline) {
  EvaluationResult::Item item{.id = example.id, .value = question_score(question, headline), .weight = 1, .more = {}};
  double right = -std::numeric_limits<double>::infinity();
  double wrong = right;
  for (std::size_t i = 0; i < question.log_likelihoods.size(); ++i) {
    const bool gold = std::find(question.gold.begin(), question.gold.end(), i) != question.gold.end();
    (gold ? right : wrong) = std::max(gold ? right : wrong, question.log_likelihoods[i]);
    item.more[fmt::format("log_likelihood {}", i)] = question.log_likelihoods[i];
  }
  item.more["gold"] = static_cast<double>(question.gold.front());
  item.more["choice"] = static_cast<double>(best_choice(compared_scores(question, headline)));
  if (std::isfinite(right - wrong)) item.more["margin"] = right - wrong;
  return item;
}

/// The headline within each domain, and its mean over groups of equal weight.
void add_domains(const ExampleSet& set, const ChoicePlan& plan, std::span<const ScoredChoices> questions,
                 const std::string& headline, EvaluationResult& result) {
  for (const auto& [domain, groups] : set.domains) {
    std::vector<ScoredChoices> within;
    for (std::size_t i = 0; i < questions.size(); ++i) {
      if (contains(groups, set.examples[plan.questions[i]].group)) within.push_back(questions[i]);
    }
    if (within.empty()) continue;
    result.metrics.push_back(choice_metric(within, headline));
    result.metrics.back().name += " " + domain;
  }
}

void add_facts(const DatasetDefinition& definition, const ExampleSet& set, const ChoicePlan& plan,
               EvaluationResult& result) {
  const auto fact = [&](const char* name, std::string value) { result.facts.emplace_back(name, std::move(value)); };
  fact("dataset", definition.name);
  fact("split", set.split);
  fact("template version", fmt::format("{}", definition.version));
  fact("questions", fmt::format("{}", plan.questions.size()));
  fact("shots", set.shots == 0 ? "0" : fmt::format("{} of {}", set.shots, set.shot_split));
  fact("questions hash", set.hash.hex());
  fact("tokens", fmt::format("{}", branched_tokens(plan.requests)));
  if (!plan.truncated.empty()) fact("truncated prompts", fmt::format("{}", plan.truncated.size()));
}

/// Rows that were not scored, then those that were scored in part.
std::vector<std::string> problem_texts(const ExampleSet& set, const ChoicePlan& plan) {
  std::vector<std::string> texts;
  for (const std::vector<ExampleProblem>* list : {&set.problems, &plan.problems, &plan.truncated}) {
    for (const ExampleProblem& problem : *list) texts.push_back(fmt::format("{}: {}", problem.where, problem.message));
  }
  return texts;
}

}  // namespace

void MultipleChoiceOptions::validate(ConfigProblems& problems, const SourceMark& mark) const {
  check(false, problems, mark);
}

std::string MultipleChoice::label() const { return options_.label(); }

ExampleSet MultipleChoice::examples(const DatasetCatalog& datasets, const Tokenizer* tokenizer) const {
  const DatasetDefinition definition = datasets.find(options_.dataset);
  ExampleSet set = options_.examples(definition, datasets, tokenizer);
  if (set.generation != nullptr) {
    fail(ErrorCode::kConfig, "the answers of dataset '{}' are written, not chosen; evaluate it by 'generation'",
         definition.name);
  }
  return set;
}

std::int64_t MultipleChoice::tokens(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const {
  const ExampleSet set = examples(datasets, &tokenizer);
  // As an experiment's default model computes: what it computes in is not known here.
  const ChoicePlan plan = plan_choices(set, tokenizer, 0, contains(set.metrics, kUnconditional));
  return computed_tokens(plan.requests, Scorer::Options().batch_tokens, packs_freely(ComputeOptions()));
}

std::vector<TestText> MultipleChoice::texts(const DatasetCatalog& datasets) const {
  std::vector<TestText> texts;
  for (const Example& example : examples(datasets, nullptr).examples) {
    const std::size_t gold = example.gold.front();
    const std::string question = example.context(gold).substr(example.preamble);
    texts.push_back({.text = question + example.continuation(gold), .question = question});
  }
  return texts;
}

Hash MultipleChoice::key(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const {
  const ExampleSet set = examples(datasets, &tokenizer);
  Hasher hasher;
  hasher.add("multiple_choice").add(version()).add(set.hash).add(tokenizer.fingerprint());
  for (const std::string& metric : set.metrics) hasher.add(metric);
  return hasher.finish();
}

EvaluationResult MultipleChoice::run(const EvaluationContext& context) const {
  const Model& model = context.scorer.model();
  const ExampleSet set = examples(context.datasets, &model.tokenizer());
  // What is a mean over questions is what comparisons pair.
  const std::string headline = is_mean(set.metrics.front()) ? set.metrics.front() : "acc";
  const ChoicePlan plan =
      plan_choices(set, model.tokenizer(), model.architecture().context, contains(set.metrics, kUnconditional));
  EvaluationResult result{.evaluation = "multiple_choice",
                          .label = label(),
                          .protocol = "lm-eval log-likelihood",
                          .metrics = {},
                          .items = {},
                          .consecutive = false,
                          .facts = {},
                          .problems = problem_texts(set, plan)};
  if (plan.questions.empty()) {
    fail(ErrorCode::kData, "dataset '{}': no question can be scored; the first of {} problems: {}", options_.dataset,
         result.problems.size(), result.problems.front());
  }
  const std::vector<Score> scores = score_branches(context.scorer, plan.requests);
  std::vector<ScoredChoices> questions;
  std::size_t first = 0;
  for (std::size_t i = 0; i < plan.questions.size(); ++i) {
    const Example& example = set.examples[plan.questions[i]];
    questions.push_back(scored(example, std::span(scores).subspan(first, plan.counts[i])));
    result.items.push_back(make_item(example, questions.back(), headline));
    first += plan.counts[i];
  }
  for (const std::string& metric : set.metrics) result.metrics.push_back(choice_metric(questions, metric));
  add_domains(set, plan, questions, headline, result);
  add_facts(context.datasets.find(options_.dataset), set, plan, result);
  return result;
}

}  // namespace lowbit
