#include "evaluation/perplexity.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "evaluation/byte_model.h"
#include "lowbit/base/files.h"
#include "lowbit/containers/safetensors.h"
#include "support/byte_tokenizer.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::error_text;
using ::testing::HasSubstr;
using testing::make_byte_model;

class PerplexityTest : public ::testing::Test {
 protected:
  PerplexityTest() : catalog_({}, {}) {
    std::string text;
    const Random random(11, "text");
    for (std::uint64_t i = 0; i < 2000; ++i)
      text += i % 90 == 89 ? "\n\n" : std::string(1, static_cast<char>('a' + random.below(i, 26)));
    write_file_atomically(folder_ / "tale.txt", text);
  }
  PerplexityOptions options(const std::string& protocol, std::int64_t limit = 0, bool divergence = true) const {
    return {.dataset = (folder_ / "tale.txt").string(),
            .split = "test",
            .protocol = protocol,
            .limit = limit,
            .divergence = divergence};
  }
  EvaluationResult run(const Model& model, const PerplexityOptions& options, bool is_baseline = true,
                       const Model* baseline = nullptr, bool has_reference = false) const {
    const std::unique_ptr<Progress> progress = silent_progress();
    const Cancellation cancellation;
    const Scorer scorer(model, {}, *progress, cancellation);
    const bool keep = has_reference || baseline != nullptr;
    return Perplexity(options).run({.scorer = scorer,
                                    .datasets = catalog_,
                                    .reference_folder = keep ? folder_ / "reference" : std::filesystem::path(),
                                    .is_baseline = is_baseline,
                                    .baseline = baseline});
  }
  static const Metric& metric(const EvaluationResult& result, std::string_view name) {
    for (const Metric& candidate : result.metrics) {
      if (candidate.name == name) return candidate;
    }
    throw std::out_of_range(std::string(name));
  }
  static std::string fact(const EvaluationResult& result, std::string_view name) {
    for (const auto& [key, value] : result.facts) {
      if (key == name) return value;
    }
    return "";
  }
  std::string text() const { return catalog_.load(catalog_.find((folder_ / "tale.txt").string()), "test").joined(); }

  testing::TemporaryFolder folder_;
  DatasetCatalog catalog_;
};

TEST_F(PerplexityTest, OfAUniformModelIsItsVocabulary) {
  const auto model = make_byte_model(0, 0);
  for (const char* protocol : {"gptq-16", "llama.cpp-16"}) {
    const EvaluationResult result = run(*model, options(protocol));
    EXPECT_EQ(result.metrics.front().name, "perplexity");
    EXPECT_NEAR(result.metrics.front().value, 257, 1e-10);
    EXPECT_NEAR(*result.metrics.front().standard_error, 0, 1e-10);
    // A byte is a token.
    EXPECT_NEAR(metric(result, "bits_per_byte").value, std::log2(257), 1e-12);
    EXPECT_EQ(result.protocol, protocol);
  }
  const EvaluationResult result = run(*model, options("lm-eval"));
  EXPECT_NEAR(metric(result, "byte_perplexity").value, 257, 1e-10);
  EXPECT_NEAR(metric(result, "bits_per_byte").value, std::log2(257), 1e-12);
  EXPECT_EQ(result.metrics.front().name, "word_perplexity");
}

TEST_F(PerplexityTest, OfGroupsReadsTheirTextsAlone) {
  make_folders(folder_ / "exams");
  write_file_atomically(folder_ / "exams/sums.jsonl", R"({"q": "one and one are two", "a": "yes"})");
  write_file_atomically(folder_ / "exams/letters.jsonl", R"({"q": "after a comes b, after b comes c", "a": "yes"})");
  write_file_atomically(folder_ / "exams.yaml",
                        "summary: s\nlicence: l\nreader: jsonl\nsplits: {test: {files: ['exams/*.jsonl']}}\n"
                        "task: {split: test, context: '{q}:', choices: ['{a}', no], gold: '0'}\n");
  const DatasetCatalog catalog({folder_.path()}, {folder_.path()});
  const testing::ByteTokenizer tokenizer;
  const auto of = [](std::vector<std::string> groups) {
    return Perplexity({.dataset = "exams", .split = "test", .groups = std::move(groups), .protocol = "gptq-16"});
  };
  EXPECT_EQ(of({"letters"}).label(), "exams letters gptq-16");
  const std::vector<TestText> texts = of({"letters"}).texts(catalog);
  ASSERT_EQ(texts.size(), 1U);
  EXPECT_THAT(texts.front().text, HasSubstr("after a comes b"));
  EXPECT_NE(of({"letters"}).key(tokenizer, catalog), of({"sums"}).key(tokenizer, catalog));
  EXPECT_NE(of({"letters"}).key(tokenizer, catalog), of({}).key(tokenizer, catalog));
  EXPECT_THAT(error_text(ErrorCode::kConfig, [&] { (void)of({"history"}).texts(catalog); }), HasSubstr("history"));
}

TEST_F(PerplexityTest, IsTheExponentialOfTheMeanOfWindowMeans) {
  const EvaluationResult result = run(*make_byte_model(), options("gptq-32"));
  double sum = 0;
  for (const EvaluationResult::Item& item : result.items) {
    EXPECT_EQ(item.weight, 31);
    sum += item.value;
  }
  const auto n = static_cast<double>(result.items.size());
  EXPECT_EQ(result.items.size(), text().size() / 32);
  EXPECT_NEAR(result.metrics.front().value, std::exp(sum / n), 1e-9);
  double squares = 0;
  for (const EvaluationResult::Item& item : result.items) squares += std::pow(item.value - sum / n, 2);
  EXPECT_NEAR(*result.metrics.front().standard_error, std::exp(sum / n) * std::sqrt(squares / (n - 1) / n), 1e-9);
  EXPECT_EQ(fact(result, "windows"), std::to_string(result.items.size()));
  EXPECT_EQ(fact(result, "text tokens"), std::to_string(text().size()));
  EXPECT_EQ(fact(result, "bos"), "none");
  EXPECT_EQ(run(*make_byte_model(), options("gptq-32", 2)).items.size(), 2U);
}

// A document that fits into one window is scored as [BOS] + document.
TEST_F(PerplexityTest, OfADocumentThatFitsIsThatOfBosAndDocument) {
  write_file_atomically(folder_ / "short.yaml",
                        "summary: s\nlicence: l\nreader: paragraphs\nsplits: {test: {files: [short.txt]}}\n");
  write_file_atomically(folder_ / "short.txt", "one two three\n\nfour five\n");
  PerplexityOptions short_text = options("lm-eval");
  short_text.dataset = (folder_ / "short.yaml").string();
  const auto model = make_byte_model();
  const EvaluationResult result = run(*model, short_text);
  const std::unique_ptr<Progress> progress = silent_progress();
  const Cancellation cancellation;
  const testing::ByteTokenizer tokenizer(true);
  double total = 0;
  for (const char* document : {"one two three", "four five"}) {
    const std::vector<ScoreRequest> requests = {{.tokens = tokenizer.encode(document), .first = 1}};
    total -= Scorer(*model, {}, *progress, cancellation).score(requests)[0].sum();
  }
  EXPECT_NEAR(metric(result, "word_perplexity").value, std::exp(total / 5), 1e-9);
  EXPECT_NEAR(metric(result, "bits_per_byte").value, total / 22 / std::numbers::ln2, 1e-12);
}

TEST_F(PerplexityTest, FindsNoDivergenceOfAModelFromItself) {
  const auto baseline = make_byte_model();
  for (const char* protocol : {"gptq-32", "llama.cpp-32", "lm-eval-24"}) {
    const EvaluationResult first = run(*baseline, options(protocol), true, nullptr, true);
    EXPECT_EQ(first.metrics.size(), std::string_view(protocol) == "lm-eval-24" ? 3U : 2U);
    const EvaluationResult second = run(*make_byte_model(), options(protocol), false, baseline.get());
    EXPECT_EQ(second.metrics.front().value, first.metrics.front().value);
    EXPECT_EQ(metric(second, "kl_mean").value, 0);
    EXPECT_EQ(metric(second, "kl_max").value, 0);
    EXPECT_EQ(metric(second, "top1_agreement").value, 1);
    EXPECT_EQ(metric(second, "delta_p_rms").value, 0);
    EXPECT_EQ(metric(second, "ln_perplexity_ratio").value, 0);
    EXPECT_EQ(*metric(second, "ln_perplexity_ratio").standard_error, 0);
  }
}

// From the logits of both models, computed request by request in float64.
TEST_F(PerplexityTest, MeasuresTheDivergenceOfAnotherModel) {
  const auto baseline = make_byte_model();
  const auto other = make_byte_model(0.3);
  const EvaluationResult first = run(*baseline, options("gptq-32", 4), true, nullptr, true);
  const EvaluationResult second = run(*other, options("gptq-32", 4), false, baseline.get());
  const std::string all = text();
  double kl = 0;
  double same = 0;
  double delta = 0;
  for (std::size_t w = 0; w < 4; ++w) {
    std::vector<std::int64_t> ids;
    for (std::size_t t = 0; t < 32; ++t) ids.push_back(static_cast<unsigned char>(all[32 * w + t]));
    const at::Tensor input = tensor_of(std::span<const std::int64_t>(ids)).unsqueeze(0);
    const auto log_probabilities = [&](const Model& model) {
      return model.logits(model.run(model.embed(input)).select(0, 0)).to(at::kDouble).log_softmax(-1);
    };
    const at::Tensor p = log_probabilities(*baseline);
    const at::Tensor q = log_probabilities(*other);
    for (std::int64_t t = 0; t + 1 < 32; ++t) {
      kl += p[t].exp().mul(p[t].sub(q[t])).sum().item<double>();
      same += p[t].argmax().item<std::int64_t>() == q[t].argmax().item<std::int64_t>() ? 1 : 0;
      const std::int64_t target = ids[static_cast<std::size_t>(t + 1)];
      delta += std::exp(q[t][target].item<double>()) - std::exp(p[t][target].item<double>());
    }
  }
  const double positions = 4 * 31;
  // Float32 rounding of logits (below 1e-4, see the scorer's test) enters the divergence at most twice.
  EXPECT_NEAR(metric(second, "kl_mean").value, kl / positions, 2e-4);
  EXPECT_GT(kl / positions, 0.01);
  EXPECT_DOUBLE_EQ(metric(second, "top1_agreement").value, same / positions);
  EXPECT_NEAR(metric(second, "delta_p_mean").value, delta / positions, 1e-4);
  EXPECT_NEAR(metric(second, "ln_perplexity_ratio").value,
              std::log(second.metrics.front().value / first.metrics.front().value), 1e-12);
  EXPECT_GE(metric(second, "kl_max").value, metric(second, "kl_p99").value);
  EXPECT_GE(metric(second, "kl_p99").value, metric(second, "kl_median").value);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(second.items[i].more.at("reference"), first.items[i].value);
}

TEST_F(PerplexityTest, NeedsTheReferenceOnlyWhereThereIsABaseline) {
  const auto model = make_byte_model();
  EXPECT_TRUE(Perplexity(options("gptq-32")).needs_baseline());
  EXPECT_FALSE(Perplexity(options("gptq-32", 0, false)).needs_baseline());
  EXPECT_EQ(run(*model, options("gptq-32"), false).metrics.size(), 2U);
  EXPECT_EQ(run(*model, options("gptq-32", 0, false), false, model.get()).metrics.size(), 2U);
  EXPECT_THAT(error_text(ErrorCode::kData, [&] { (void)run(*model, options("gptq-32"), false, model.get()); }),
              HasSubstr("are missing; run this evaluation on the baseline first"));
}

TEST_F(PerplexityTest, RefusesAReferenceOfAnotherShape) {
  const auto model = make_byte_model();
  (void)run(*model, options("gptq-32"), true, nullptr, true);
  for (const std::filesystem::directory_entry& entry : std::filesystem::directory_iterator(folder_ / "reference")) {
    SafetensorsWriter writer(entry.path(), {{"hidden", StorageType::kF32, {1, 1}}});
    const float zero = 0;
    writer.write(&zero, sizeof zero);
    writer.finish();
  }
  EXPECT_THAT(
      error_text(ErrorCode::kData, [&] { (void)run(*model, options("gptq-32"), false, model.get()); }),
      HasSubstr("expected a float32 tensor 'hidden' of shape [372, 32]; remove the file and run the baseline again"));
}

TEST_F(PerplexityTest, IsKeyedByAllThatDecidesIt) {
  const testing::ByteTokenizer tokenizer;
  const auto key = [&](const PerplexityOptions& o) { return Perplexity(o).key(tokenizer, catalog_); };
  const Hash first = key(options("gptq-32"));
  EXPECT_EQ(key(options("gptq-32")), first);
  EXPECT_NE(key(options("gptq-16")), first);
  EXPECT_NE(key(options("gptq-32", 3)), first);
  EXPECT_NE(key(options("gptq-32", 0, false)), first);
  EXPECT_NE(Perplexity(options("gptq-32")).key(testing::ByteTokenizer(true), catalog_), first);
  PerplexityOptions train = options("gptq-32");
  train.split = "train";
  EXPECT_NE(key(train), first);
  EXPECT_EQ(Perplexity(train).label(), "tale train gptq-32");
  EXPECT_EQ(Perplexity(options("gptq-32")).tokens(tokenizer, catalog_),
            static_cast<std::int64_t>(text().size() / 32 * 31));
}

TEST_F(PerplexityTest, IsRegisteredWithItsOptions) {
  const Registry<Evaluation> registry = builtin_evaluations();
  ConfigProblems good;
  const auto made =
      registry.create("perplexity", {}, ConfigNode::parse("{dataset: tale, protocol: gptq-512}", "x.yaml"), good);
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->label(), "tale gptq-512");
  ConfigProblems bad;
  EXPECT_EQ(registry.create("perplexity", {}, ConfigNode::parse("{dataset: a, protocol: gptk-512}", "x.yaml"), bad),
            nullptr);
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { bad.throw_if_any(); }),
            "x.yaml:1:1: unknown protocol 'gptk-512'; known: 'gptq-<length>', 'llama.cpp-<length>', 'lm-eval', "
            "'lm-eval-<length>', 'lm-eval-wikitext', 'lm-eval-wikitext-<length>', with a length from 2");
}

}  // namespace
}  // namespace lowbit
