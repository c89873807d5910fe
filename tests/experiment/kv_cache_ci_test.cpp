// A real model whose cache is rounded: what is lost grows as bits fall, and only where tokens are read from the cache.
#include <gtest/gtest.h>

#include <cmath>

#include "evaluation/perplexity.h"
#include "evaluation/retrieval.h"
#include "lowbit/quantization/driver.h"
#include "lowbit/quantization/recipe.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

class KvCacheOfARealModel : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto model = testing::shared_data("models/stories260K");
    const auto text = testing::shared_data("data/tinystories/tinystories_sample.txt");
    if (!model || !text) GTEST_SKIP() << "no models/stories260K or data/tinystories in the test data";
    model_ = *model;
    text_ = *text;
  }

  // The model behind a recipe, from its artifact.
  std::shared_ptr<Model> with(const std::string& yaml) {
    ConfigProblems problems;
    const auto recipe = Recipe::decode("test", ConfigNode::parse(yaml, "x.yaml"), registries_, problems);
    problems.throw_if_any();
    const auto base = Model::open(model_, {}, Model::Residency::kStreamed);
    recipe->check_layers(base->architecture(), problems);
    problems.throw_if_any();
    const std::filesystem::path folder = folder_ / std::to_string(artifacts_++);
    (void)quantize({base, recipe, nullptr, 0, folder}, *silent_progress(), Cancellation());
    return Model::open(folder, {}, Model::Residency::kResident, runtime_readers(registries_));
  }

  EvaluationResult run(const Model& model, const Evaluation& evaluation) const {
    const auto progress = silent_progress();
    const Cancellation cancellation;
    const Scorer scorer(model, {}, *progress, cancellation);
    const DatasetCatalog datasets({}, {});
    return evaluation.run({.scorer = scorer, .datasets = datasets, .reference_folder = {}});
  }
  // The logarithm of the perplexity, and the bits that a number took in the cache.
  std::pair<double, double> loss(const Model& model, std::int64_t prefill) const {
    const EvaluationResult result =
        run(model, Perplexity({.dataset = text_.string(), .protocol = "gptq-256", .limit = 8, .prefill = prefill}));
    double bits = 0;
    for (const Metric& metric : result.metrics) {
      if (metric.name == "cache_bits") bits = metric.value;
    }
    return {std::log(result.metrics.front().value), bits};
  }

  std::filesystem::path model_, text_;
  testing::TemporaryFolder folder_;
  QuantizationRegistries registries_ = builtin_quantization();
  int artifacts_ = 0;
};

TEST_F(KvCacheOfARealModel, LosesMoreWithFewerBitsAndNothingUnread) {
  const auto base = Model::open(model_, {});
  const auto [exact, float_bits] = loss(*base, 64);
  EXPECT_EQ(float_bits, 32);
  double last = 0;
  double bits = 32;
  for (const int width : {8, 4, 3, 2}) {
    const auto model = with(fmt::format("[{{kivi: {{bits: {}, group: 8, window: 16}}}}]", width));
    const auto [found, taken] = loss(*model, 64);
    EXPECT_LT(taken, bits) << width;
    bits = taken;
    if (width == 8) {
      EXPECT_NEAR(found, exact, 1e-3);
    } else {
      EXPECT_GT(found - exact, last) << width;
      last = found - exact;
    }
    EXPECT_EQ(loss(*model, 0).first, loss(*base, 0).first) << width;
  }
  EXPECT_LT(last, 1.0);
}

TEST_F(KvCacheOfARealModel, StandsBehindRoundedWeights) {
  const auto weights = with("[{rtn: {bits: 4, group: 32}}]");
  const auto both = with("[{rtn: {bits: 4, group: 32}}, {kivi: {bits: 2, group: 8, window: 16}}]");
  EXPECT_EQ(loss(*both, 0).first, loss(*weights, 0).first);
  EXPECT_GT(loss(*both, 64).first, loss(*weights, 64).first);
}

// Whoever reads 260 thousand weights recalls no codes; but their likelihood can be measured, and must fall with bits.
TEST_F(KvCacheOfARealModel, IsReadByTheRetrievalTest) {
  const Retrieval retrieval({{.length = 400, .tests = 4}});
  const EvaluationResult exact = run(*Model::open(model_, {}), retrieval);
  const EvaluationResult near = run(*with("[{kv_cache: {bits: 8, group: -1}}]"), retrieval);
  const EvaluationResult far = run(*with("[{kv_cache: {bits: 2, group: -1}}]"), retrieval);
  ASSERT_EQ(exact.metrics[1].name, "answer_loss");
  const double reference = exact.metrics[1].value;
  EXPECT_LT(std::abs(near.metrics[1].value - reference), 0.1 * std::abs(far.metrics[1].value - reference));
}

}  // namespace
}  // namespace lowbit
