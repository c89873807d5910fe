#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "evaluation/choice_metrics.h"
#include "evaluation/multiple_choice.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/base/progress.h"
#include "support/source_folder.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

// Likelihoods that EleutherAI's harness and transformers give in float32 (tests/golden/data/lm_eval_tasks.py).
TEST(MultipleChoice, ScoresAsTheFieldsHarnessScores) {
  const fs::path file = user_cache_folder() / "models" / "smollm2-135m-instruct.gguf";
  const auto data = testing::shared_data("data");
  if (!fs::exists(file)) GTEST_SKIP() << "no default model; tools/setup brings it";
  if (!data) GTEST_SKIP() << "no data in the test data";
  const fs::path golden = testing::source_folder() / "tests/golden/data";
  const Json prompts = parse_json(read_file(golden / "prompts.json"), "prompts.json");
  const Json scores = parse_json(read_file(golden / "scores.json"), "scores.json");
  const auto model = Model::open(file, {});
  const DatasetCatalog catalog({testing::source_folder() / "datasets"}, {*data});
  const auto progress = silent_progress();
  const Cancellation cancellation;
  const Scorer scorer(*model, {}, *progress, cancellation);
  int questions = 0;
  int same_choice = 0;
  for (const auto& [name, expected] : scores.items()) {
    const Json& task = prompts[name];
    MultipleChoiceOptions options;
    options.dataset = task["dataset"].get<std::string>();
    options.shots = task["shots"].get<std::int64_t>();
    if (const std::string group = task["group"].get<std::string>(); !group.empty()) options.groups = {group};
    options.limit = static_cast<std::int64_t>(expected.size());
    const EvaluationResult result = MultipleChoice(options).run({.scorer = scorer,
                                                                 .datasets = catalog,
                                                                 .seed = 0,
                                                                 .reference_folder = {},
                                                                 .is_baseline = false,
                                                                 .baseline = nullptr});
    ASSERT_EQ(result.items.size(), expected.size()) << name;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto likelihoods = expected[i]["log_likelihoods"].get<std::vector<double>>();
      std::vector<double> own;
      for (std::size_t c = 0; c < likelihoods.size(); ++c) {
        own.push_back(result.items[i].more.at(fmt::format("log_likelihood {}", c)));
        // Written with five decimals.
        EXPECT_NEAR(own[c], likelihoods[c], 1e-3 * std::abs(likelihoods[c]) + 1e-5) << name << " " << i << " " << c;
      }
      ++questions;
      same_choice += best_choice(own) == best_choice(likelihoods);
    }
  }
  EXPECT_GE(questions, 50);
  EXPECT_GE(same_choice, 0.995 * questions);
  RecordProperty("same_choice", fmt::format("{} of {}", same_choice, questions));
}

}  // namespace
}  // namespace lowbit
