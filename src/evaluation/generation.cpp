#include "evaluation/generation.h"

#include "evaluation/answer_metrics.h"
#include "evaluation/choice_requests.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

/// What is written for a set of questions, and the numbers in the set of those that are.
struct WritingPlan {
  std::vector<WritingRequest> requests;
  std::vector<std::size_t> questions;
  std::vector<std::string> problems;
};

/// Prompts longer than `context` leaves room for lose their beginning, as in EleutherAI's harness; 0: no bound.
WritingPlan plan_writing(const ExampleSet& set, const Tokenizer& tokenizer, std::int64_t context,
                         std::int64_t max_new_tokens) {
  WritingPlan plan;
  const std::int64_t room = context - max_new_tokens;
  for (std::size_t i = 0; i < set.examples.size(); ++i) {
    const Example& example = set.examples[i];
    WritingRequest request{.id = example.id, .prompt = encode_prompt(tokenizer, example.contexts.front())};
    const auto length = static_cast<std::int64_t>(request.prompt.size());
    if (length == 0) {
      plan.problems.push_back(fmt::format("{}: the prompt has no tokens", example.where));
      continue;
    }
    if (context > 0 && length > room) {
      plan.problems.push_back(
          fmt::format("{}: the prompt of {} tokens is longer than the {} that an answer of {} leaves of the model's "
                      "context, and was read without its beginning",
                      example.where, length, room, max_new_tokens));
      request.prompt.erase(request.prompt.begin(), request.prompt.end() - room);
    }
    plan.requests.push_back(std::move(request));
    plan.questions.push_back(i);
  }
  return plan;
}

EvaluationResult::Item make_item(const Example& example, const WrittenAnswer& answer, const ExampleSet& set,
                                 const std::string& headline) {
  EvaluationResult::Item item{.id = example.id,
                              .value = answer_score(answer, headline, 0, *set.generation),
                              .weight = 1,
                              .more = {},
                              .output = answer.text};
  for (const std::string& metric : set.metrics) {
    for (std::size_t rule = 0; rule < set.generation->answers.size(); ++rule) {
      const std::string& name = set.generation->answers[rule].name;
      item.more[name.empty() ? metric : metric + " " + name] = answer_score(answer, metric, rule, *set.generation);
    }
  }
  return item;
}

void add_facts(const DatasetDefinition& definition, const ExampleSet& set, const GenerationOptions& options,
               std::size_t questions, EvaluationResult& result) {
  const auto fact = [&](const char* name, std::string value) { result.facts.emplace_back(name, std::move(value)); };
  fact("dataset", definition.name);
  fact("split", set.split);
  fact("template version", fmt::format("{}", definition.version));
  fact("questions", fmt::format("{}", questions));
  fact("shots", set.shots == 0 ? "0" : fmt::format("{} of {}", set.shots, set.shot_split));
  fact("questions hash", set.hash.hex());
  fact("at most", fmt::format("{} new tokens", options.max_new_tokens));
  fact("written", options.temperature == 0.0
                      ? "greedily"
                      : fmt::format("at temperature {}, seed {}", options.temperature, options.seed));
}

}  // namespace

void WrittenAnswersOptions::visit(FieldVisitor& v) {
  QuestionOptions::visit(v);
  v.field("max_new_tokens", max_new_tokens, "tokens that an answer may have; 0: as many as the dataset says",
          {0, 1 << 20});
  v.field("temperature", temperature, "0: the likeliest token each time; else tokens are drawn", {0.0, 100.0});
  v.field("top_k", top_k, "draw from so many of the likeliest tokens; 0: all", {0, 1 << 24});
  v.field("top_p", top_p, "draw from the fewest tokens that hold this share of the probability", {0.0, 1.0});
  v.field("seed", seed, "of the draws", {0, std::int64_t{1} << 53});
}

void WrittenAnswersOptions::validate(ConfigProblems& problems, const SourceMark& mark) const {
  check(true, problems, mark);
  if (!(top_p > 0)) problems.add(mark, "'top_p' must be more than 0");
}

std::string WrittenAnswers::label() const {
  std::string text = options_.label();
  if (options_.temperature > 0) text += fmt::format(" temperature-{} seed-{}", options_.temperature, options_.seed);
  return text + " written";
}

ExampleSet WrittenAnswers::examples(const DatasetCatalog& datasets, const Tokenizer* tokenizer) const {
  const DatasetDefinition definition = datasets.find(options_.dataset);
  ExampleSet set = options_.examples(definition, datasets, tokenizer);
  if (set.generation == nullptr) {
    fail(ErrorCode::kConfig, "the answers of dataset '{}' are chosen, not written; evaluate it by 'multiple_choice'",
         definition.name);
  }
  return set;
}

GenerationOptions WrittenAnswers::generation(const ExampleSet& set) const {
  GenerationOptions options;
  options.max_new_tokens = options_.max_new_tokens > 0 ? options_.max_new_tokens : set.generation->max_new_tokens;
  options.temperature = options_.temperature;
  options.top_k = options_.top_k;
  options.top_p = options_.top_p;
  options.seed = static_cast<std::uint64_t>(options_.seed);
  options.stop = set.generation->stop;
  return options;
}

std::vector<TestText> WrittenAnswers::texts(const DatasetCatalog& datasets) const {
  std::vector<TestText> texts;
  for (const Example& example : examples(datasets, nullptr).examples) {
    const std::string question = example.contexts.front().substr(example.preamble);
    texts.push_back({.text = question + " " + example.references.front(), .question = question});
  }
  return texts;
}

std::int64_t WrittenAnswers::tokens(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const {
  const ExampleSet set = examples(datasets, &tokenizer);
  const std::int64_t each = generation(set).max_new_tokens;
  std::int64_t total = 0;
  for (const WritingRequest& request : plan_writing(set, tokenizer, 0, each).requests) {
    total += static_cast<std::int64_t>(request.prompt.size()) + each;
  }
  return total;
}

Hash WrittenAnswers::key(const Tokenizer& tokenizer, const DatasetCatalog& datasets) const {
  const ExampleSet set = examples(datasets, &tokenizer);
  const GenerationOptions options = generation(set);
  Hasher hasher;
  hasher.add("generation").add(version()).add(set.hash).add(tokenizer.fingerprint()).add(options.max_new_tokens);
  hasher.add(options.temperature).add(options.top_k).add(options.top_p).add(options.seed);
  for (const std::string& metric : set.metrics) hasher.add(metric);
  return hasher.finish();
}

EvaluationResult WrittenAnswers::run(const EvaluationContext& context) const {
  const Model& model = context.scorer.model();
  const ExampleSet set = examples(context.datasets, &model.tokenizer());
  const GenerationOptions options = generation(set);
  if (options.max_new_tokens >= model.architecture().context) {
    fail(ErrorCode::kConfig, "generation: 'max_new_tokens' is {}, which leaves no room in the model's context of {}",
         options.max_new_tokens, model.architecture().context);
  }
  const WritingPlan plan = plan_writing(set, model.tokenizer(), model.architecture().context, options.max_new_tokens);
  EvaluationResult result{.evaluation = "generation",
                          .label = label(),
                          .protocol = "lm-eval generate-until",
                          .metrics = {},
                          .items = {},
                          .consecutive = false,
                          .facts = {}};
  for (const ExampleProblem& problem : set.problems) {
    result.problems.push_back(fmt::format("{}: {}", problem.where, problem.message));
  }
  result.problems.insert(result.problems.end(), plan.problems.begin(), plan.problems.end());
  if (plan.requests.empty()) {
    fail(ErrorCode::kData, "dataset '{}': no question can be asked; the first of {} problems: {}", options_.dataset,
         result.problems.size(), result.problems.front());
  }
  const std::vector<std::string> texts = write_answers(context.scorer, plan.requests, options);
  std::vector<WrittenAnswer> answers;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const Example& example = set.examples[plan.questions[i]];
    answers.push_back(find_answers(texts[i], example.references, *set.generation));
    result.items.push_back(make_item(example, answers.back(), set, set.metrics.front()));
  }
  for (const std::string& metric : set.metrics) {
    for (std::size_t rule = 0; rule < set.generation->answers.size(); ++rule) {
      result.metrics.push_back(answer_metric(answers, metric, rule, *set.generation));
    }
  }
  add_facts(context.datasets.find(options_.dataset), set, options, plan.requests.size(), result);
  return result;
}

}  // namespace lowbit
