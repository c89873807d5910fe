#include "evaluation/retrieval.h"

#include <fmt/format.h>

#include <algorithm>

#include "evaluation/cache_use.h"
#include "lowbit/base/error.h"
#include "lowbit/evaluation/statistics.h"

namespace lowbit {
namespace {

Metric mean_metric(std::string name, const std::vector<double>& values, bool higher_is_better) {
  const MeanEstimate estimate = mean_of(values);
  return {.name = std::move(name),
          .value = estimate.mean,
          .standard_error = estimate.scaled_error(),
          .higher_is_better = higher_is_better};
}

}  // namespace

void RetrievalOptions::visit(FieldVisitor& v) {
  // As many tokens as there are names for records; 64 hold two of them in every tokenizer known.
  v.field("length", plan.length, "tokens of a test: records, question and answer", {64, 16384});
  v.field("tests", plan.tests, "number of tests; the records asked for stand evenly from the first to the last",
          {1, 1 << 16});
  v.field("seed", plan.seed, "of names and codes", {0, std::int64_t{1} << 53});
}

std::string Retrieval::label() const {
  return fmt::format("retrieval {}{}", plan_.length, plan_.seed == 0 ? "" : fmt::format(" seed-{}", plan_.seed));
}

void Retrieval::check(const Architecture& architecture) const {
  if (plan_.length > architecture.context) {
    fail(ErrorCode::kConfig, "retrieval: 'length' is {}, the model's context is {}", plan_.length,
         architecture.context);
  }
}

std::int64_t Retrieval::tokens(const Tokenizer&, const DatasetCatalog&) const { return plan_.length * plan_.tests; }

Hash Retrieval::key(const Tokenizer& tokenizer, const DatasetCatalog&) const {
  return Hasher()
      .add("retrieval")
      .add(version())
      .add(plan_.length)
      .add(plan_.tests)
      .add(plan_.seed)
      .add(tokenizer.fingerprint())
      .finish();
}

EvaluationResult Retrieval::run(const EvaluationContext& context) const {
  const Model& model = context.scorer.model();
  const std::vector<RetrievalTest> tests = make_retrieval_tests(plan_, model.tokenizer());
  std::vector<ScoreRequest> requests;
  for (const RetrievalTest& test : tests) requests.push_back(test.request);
  const std::vector<Score> scores = context.scorer.score(requests);

  EvaluationResult result{.evaluation = "retrieval",
                          .label = label(),
                          .protocol = "",
                          .metrics = {},
                          .items = {},
                          .consecutive = false,
                          .facts = {}};
  std::vector<double> recalled;
  std::vector<double> losses;
  for (std::size_t i = 0; i < tests.size(); ++i) {
    const std::vector<bool>& greedy = scores[i].greedy;
    const auto answer = static_cast<double>(greedy.size());
    recalled.push_back(std::all_of(greedy.begin(), greedy.end(), [](bool token) { return token; }) ? 1 : 0);
    losses.push_back(-scores[i].sum() / answer);
    result.items.push_back({.id = fmt::format("test {}", i),
                            .value = recalled.back(),
                            .weight = 1,
                            .more = {{"depth", tests[i].depth},
                                     {"records", static_cast<double>(tests[i].records)},
                                     {"answer_tokens", answer},
                                     {"answer_loss", losses.back()}}});
  }
  result.metrics = {mean_metric("recall", recalled, true), mean_metric("answer_loss", losses, false)};
  result.facts = {{"tests", fmt::format("{}", plan_.tests)},
                  {"length", fmt::format("at most {} tokens", plan_.length)},
                  {"text seed", fmt::format("{}", plan_.seed)}};
  add_cache_use(requests, scores, model, result);
  return result;
}

}  // namespace lowbit
