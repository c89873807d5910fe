#include "evaluation/efficiency.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "evaluation/byte_model.h"
#include "lowbit/tensor/parallel.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using testing::error_text;
using testing::make_byte_model;

EvaluationResult measure(const EfficiencyOptions& options) {
  const auto model = make_byte_model();
  const auto progress = silent_progress();
  const Cancellation cancellation;
  const Scorer scorer(*model, {}, *progress, cancellation);
  const DatasetCatalog datasets({}, {});
  return Efficiency(options).run({scorer, datasets});
}

TEST(EfficiencyEvaluation, LeadsWithTokensDecodedASecondAndCountsARepetitionAsAnItem) {
  const EvaluationResult result = measure({.prompt = 6, .new_tokens = 3, .batch = 2, .repetitions = 4});
  EXPECT_EQ(result.evaluation, "efficiency");
  EXPECT_EQ(result.label, "efficiency 6+3 batch-2");
  ASSERT_GE(result.metrics.size(), 8U);
  EXPECT_EQ(result.metrics[0].name, "decode_tokens_per_second");
  EXPECT_TRUE(result.metrics[0].higher_is_better);
  EXPECT_TRUE(result.metrics[0].standard_error.has_value());
  ASSERT_EQ(result.items.size(), 4U);
  double sum = 0;
  for (const EvaluationResult::Item& item : result.items) sum += item.value;
  EXPECT_NEAR(result.metrics[0].value, sum / 4, 1e-9 * sum);
}

TEST(EfficiencyEvaluation, RecordsAnOptionalEnergyOrWhyThereIsNone) {
  const EvaluationResult result = measure({.prompt = 2, .new_tokens = 2, .repetitions = 3});
  const bool measured = std::any_of(result.metrics.begin(), result.metrics.end(),
                                    [](const Metric& metric) { return metric.name == "joules_per_token"; });
  const auto fact =
      std::find_if(result.facts.begin(), result.facts.end(), [](const auto& entry) { return entry.first == "energy"; });
  ASSERT_NE(fact, result.facts.end());
  EXPECT_EQ(fact->second == "measured", measured);
}

// A time belongs to the machine that took it.
TEST(EfficiencyEvaluation, IsKeyedByThreads) {
  const testing::ByteTokenizer tokenizer;
  const DatasetCatalog datasets({}, {});
  const Efficiency efficiency({});
  const int threads = thread_count();
  set_thread_count(1);
  const Hash one = efficiency.key(tokenizer, datasets);
  EXPECT_EQ(efficiency.key(tokenizer, datasets), one);
  set_thread_count(2);
  EXPECT_NE(efficiency.key(tokenizer, datasets), one);
  set_thread_count(threads);
  EXPECT_EQ(efficiency.tokens(tokenizer, datasets), (128 + 64) * 6);
}

TEST(EfficiencyEvaluation, RefusesWhatTheContextDoesNotHold) {
  Architecture architecture;
  architecture.context = 100;
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { Efficiency({.prompt = 90, .new_tokens = 11}).check(architecture); }),
            "efficiency: 90 tokens of prompt and 11 new ones, the model's context is 100");
}

}  // namespace
}  // namespace lowbit
