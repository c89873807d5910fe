#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>

#include "evaluation/byte_model.h"
#include "evaluation/perplexity.h"
#include "lowbit/base/files.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::error_text;
using ::testing::HasSubstr;
using testing::make_byte_model;

// Rounds keys and values to halves as they come.
class CoarseCache : public KvCachePolicy {
 public:
  at::Tensor append_and_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                               bool deterministic) override {
    batch_ = k.size(0);
    return inner_->append_and_attend(q, (k * 2).round() / 2, (v * 2).round() / 2, scale, deterministic);
  }
  std::int64_t length() const override { return inner_->length(); }
  std::int64_t bytes() const override { return batch_ * inner_->length() * 7; }

 private:
  std::int64_t batch_ = 0;
  std::unique_ptr<KvCachePolicy> inner_ = make_float_kv_cache(0);
};

class CoarseSource : public testing::ByteModelSource {
 public:
  CoarseSource() : ByteModelSource(0, 5) {}
  std::optional<RuntimeRecord> kv_cache() const override { return RuntimeRecord{"coarse", {}, {}}; }
};

std::shared_ptr<Model> make_coarse_model() {
  RuntimeReaders readers;
  readers.kv_cache = [](const RuntimeRecord&) -> KvCacheMaker {
    return [](const Architecture&, std::int64_t) { return std::make_unique<CoarseCache>(); };
  };
  return Model::make(std::make_shared<CoarseSource>(), std::make_unique<testing::ByteTokenizer>(), {},
                     Model::Residency::kResident, readers);
}

class PrefillTest : public ::testing::Test {
 protected:
  PrefillTest() : catalog_({}, {}) {
    std::string text;
    const Random random(11, "text");
    for (std::uint64_t i = 0; i < 400; ++i) text += static_cast<char>('a' + random.below(i, 26));
    write_file_atomically(folder_ / "tale.txt", text);
  }
  PerplexityOptions options(std::int64_t prefill, const std::string& protocol = "gptq-32") const {
    return {.dataset = (folder_ / "tale.txt").string(), .protocol = protocol, .limit = 5, .prefill = prefill};
  }
  EvaluationResult run(const Model& model, const PerplexityOptions& options, bool is_baseline = true,
                       const Model* baseline = nullptr) const {
    const Cancellation cancellation;
    const Scorer scorer(model, {.work_folder = work_}, *progress_, cancellation);
    return Perplexity(options).run({.scorer = scorer,
                                    .datasets = catalog_,
                                    .reference_folder = reference_,
                                    .is_baseline = is_baseline,
                                    .baseline = baseline});
  }
  static std::optional<double> metric(const EvaluationResult& result, std::string_view name) {
    for (const Metric& candidate : result.metrics) {
      if (candidate.name == name) return candidate.value;
    }
    return std::nullopt;
  }
  static std::string fact(const EvaluationResult& result, std::string_view name) {
    for (const auto& [key, value] : result.facts) {
      if (key == name) return value;
    }
    return "";
  }
  std::string problem(const std::string& yaml) const {
    ConfigProblems problems;
    PerplexityOptions options;
    decode_fields(ConfigNode::parse(yaml, "x.yaml"), options, problems);
    return error_text(ErrorCode::kConfig, [&] { problems.throw_if_any(); });
  }

  testing::TemporaryFolder folder_;
  std::filesystem::path work_, reference_;
  DatasetCatalog catalog_;
  std::unique_ptr<Progress> progress_ = silent_progress();
};

// With a float cache nothing is lost: the likelihoods are those of the window read at once.
TEST_F(PrefillTest, ScoresTheTokensBehindIt) {
  const auto model = make_byte_model();
  const Cancellation cancellation;
  const Scorer scorer(*model, {}, *progress_, cancellation);
  std::vector<ScoreRequest> requests(3);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    for (int t = 0; t < 40; ++t) requests[i].tokens.push_back(static_cast<TokenId>((t * t + 7 * t * (i + 1)) % 257));
    requests[i].first = 18;
  }
  const std::vector<Score> at_once = scorer.score(requests);
  for (ScoreRequest& request : requests) request.prefill = 17;
  const std::vector<Score> decoded = scorer.score(requests);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(at_once[i].cache_bytes, 0);
    EXPECT_EQ(decoded[i].cache_bytes, 2 * 2 * 39 * 2 * 8 * 4);  // layers, keys and values, tokens, heads, channels
    ASSERT_EQ(decoded[i].log_likelihood.size(), 22U);
    for (std::size_t t = 0; t < 22; ++t) {
      // The same sums in another order where the machine's products depend on their shape.
      EXPECT_NEAR(decoded[i].log_likelihood[t], at_once[i].log_likelihood[t], 1e-4);
    }
  }
}

TEST_F(PrefillTest, IsPartOfTheProtocolsName) {
  const EvaluationResult result = run(*make_byte_model(), options(20));
  EXPECT_EQ(result.protocol, "gptq-32 prefill-20");
  EXPECT_EQ(result.label, "tale gptq-32 prefill-20");
  EXPECT_EQ(Perplexity(options(0)).label(), "tale gptq-32");
  EXPECT_EQ(result.items.front().weight, 11);  // tokens 21 .. 31
  EXPECT_EQ(fact(result, "scored tokens"), "55");
  EXPECT_TRUE(Perplexity(options(20)).uses_cache());
  EXPECT_FALSE(Perplexity(options(0)).uses_cache());
  const testing::ByteTokenizer tokenizer;
  EXPECT_NE(Perplexity(options(20)).key(tokenizer, catalog_), Perplexity(options(21)).key(tokenizer, catalog_));
  EXPECT_NE(Perplexity(options(20)).key(tokenizer, catalog_), Perplexity(options(0)).key(tokenizer, catalog_));
}

// llama.cpp scores the second half of a window; what is read at once is scored in no protocol.
TEST_F(PrefillTest, LeavesWhatAProtocolScoresToIt) {
  EXPECT_EQ(run(*make_byte_model(), options(4, "llama.cpp-32")).items.front().weight, 15);
  EXPECT_EQ(run(*make_byte_model(), options(24, "llama.cpp-32")).items.front().weight, 7);
}

TEST_F(PrefillTest, ShowsWhatARoundedCacheDoesAndTakes) {
  const auto exact = make_byte_model();
  const auto coarse = make_coarse_model();
  const EvaluationResult float_result = run(*exact, options(20));
  const EvaluationResult coarse_result = run(*coarse, options(20));
  EXPECT_GT(std::abs(*metric(coarse_result, "perplexity") / *metric(float_result, "perplexity") - 1), 1e-4);
  EXPECT_EQ(metric(float_result, "cache_bits"), 32);
  EXPECT_EQ(metric(float_result, "cache_bytes"), 2 * 2 * 31 * 16 * 4);
  EXPECT_EQ(metric(coarse_result, "cache_bytes"), 2 * 31 * 7);
  EXPECT_DOUBLE_EQ(*metric(coarse_result, "cache_bits"), 8.0 * 7 / 32);
  EXPECT_EQ(fact(float_result, "cache"), "float");
  EXPECT_EQ(fact(coarse_result, "cache"), "coarse");
}

TEST_F(PrefillTest, IsMissedWhereAModelRoundsItsCache) {
  const EvaluationResult result = run(*make_coarse_model(), options(0));
  EXPECT_EQ(fact(result, "cache"), "not exercised");
  EXPECT_FALSE(metric(result, "cache_bits").has_value());
  EXPECT_EQ(metric(result, "perplexity"), metric(run(*make_byte_model(), options(0)), "perplexity"));
  EXPECT_EQ(fact(run(*make_byte_model(), options(0)), "cache"), "");
}

TEST_F(PrefillTest, ComparesWithTheFloatModelsDecoding) {
  const auto baseline = make_byte_model();
  reference_ = folder_ / "reference";
  (void)run(*baseline, options(20));
  const EvaluationResult same = run(*make_byte_model(), options(20), false, baseline.get());
  EXPECT_EQ(metric(same, "kl_mean"), 0);
  const EvaluationResult coarse = run(*make_coarse_model(), options(20), false, baseline.get());
  EXPECT_GT(*metric(coarse, "kl_mean"), 1e-6);
  // Its states are not those of the window read at once.
  EXPECT_THAT(error_text(ErrorCode::kData, [&] { (void)run(*make_byte_model(), options(0), false, baseline.get()); }),
              HasSubstr("are missing"));
}

TEST_F(PrefillTest, RemembersCachesOfAPassThatGoesOn) {
  const auto model = make_coarse_model();
  work_ = folder_ / "work";
  make_folders(work_);
  const EvaluationResult first = run(*model, options(20));
  const EvaluationResult again = run(*model, options(20));
  EXPECT_EQ(metric(again, "cache_bytes"), metric(first, "cache_bytes"));
  EXPECT_EQ(metric(again, "perplexity"), metric(first, "perplexity"));
}

TEST_F(PrefillTest, HasALimit) {
  EXPECT_THAT(problem("{dataset: tale, protocol: gptq-32, prefill: 31}"),
              HasSubstr("'prefill' is 31, expected at most 30, so that protocol 'gptq-32' has a token to predict from "
                        "the cache"));
  EXPECT_THAT(problem("{dataset: tale, protocol: lm-eval, prefill: 8}"),
              HasSubstr("'prefill' has no meaning for protocol 'lm-eval', whose documents are shorter and longer than "
                        "any; take 'gptq-<length>' or 'llama.cpp-<length>'"));
  EXPECT_EQ(run(*make_byte_model(), options(30)).items.front().weight, 1);
}

}  // namespace
}  // namespace lowbit
