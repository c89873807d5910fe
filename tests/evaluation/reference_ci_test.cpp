#include <gtest/gtest.h>

#include <cmath>

#include "data/readers.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/base/utf8.h"
#include "lowbit/evaluation/scorer.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

/// exp of the mean over all scored tokens.
double perplexity(const Model& model, const std::vector<ScoreRequest>& requests, std::int64_t expected_tokens) {
  const std::unique_ptr<Progress> progress = silent_progress();
  const Cancellation cancellation;
  double sum = 0;
  std::int64_t tokens = 0;
  for (const Score& score : Scorer(model, {}, *progress, cancellation).score(requests)) {
    sum += score.sum();
    tokens += static_cast<std::int64_t>(score.log_likelihood.size());
  }
  EXPECT_EQ(tokens, expected_tokens);
  return std::exp(-sum / static_cast<double>(tokens));
}

// The numbers of reference.json were made by transformers in float32 and are written with five or six digits.
class Stories260K : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto folder = testing::shared_data("models/stories260K");
    stories_ = testing::shared_data("data/tinystories/tinystories_sample.txt");
    wikitext_ = testing::shared_data("data/wikitext2/wiki.test.raw");
    if (!folder || !stories_ || !wikitext_)
      GTEST_SKIP() << "no models/stories260K, tinystories or wikitext2 in the test data";
    model_ = Model::open(*folder, {});
    reference_ = parse_json(read_file(*folder / "reference.json"), "reference.json");
  }
  double expected(const char* name) const { return reference_.at(name).at("value").get<double>(); }
  std::int64_t tokens(const char* name) const { return reference_.at(name).at("tokens").get<std::int64_t>(); }

  std::shared_ptr<Model> model_;
  std::optional<std::filesystem::path> stories_;
  std::optional<std::filesystem::path> wikitext_;
  Json reference_;
};

// "split at <|endoftext|>, stripped, first 100 pieces, each [bos] + first 500 ids, all positions after bos scored"
TEST_F(Stories260K, HasTheReferencePerplexityOfStories) {
  DatasetDefinition definition;
  definition.reader = RowReader::kDelimited;
  definition.delimiter = "<|endoftext|>";
  std::vector<ScoreRequest> requests;
  for (const std::string& story : read_documents(definition, read_text(*stories_), "stories", 100)) {
    ScoreRequest request{.tokens = {*model_->tokenizer().bos()}, .first = 1};
    const std::vector<TokenId> ids = model_->tokenizer().encode(story, {.add_special = false});
    request.tokens.insert(request.tokens.end(), ids.begin(),
                          ids.begin() + std::min<std::ptrdiff_t>(500, std::ssize(ids)));
    requests.push_back(std::move(request));
  }
  const double value = perplexity(*model_, requests, tokens("tinystories_ppl"));
  EXPECT_NEAR(value / expected("tinystories_ppl"), 1, 1e-5);
}

// "first 60,000 characters of wiki.test.raw, no bos, windows of 512 ids without overlap, last partial window dropped"
TEST_F(Stories260K, HasTheReferencePerplexityOfWikitext) {
  const std::vector<char32_t> characters = decode_utf8(read_text(*wikitext_));
  std::string text;
  for (std::size_t i = 0; i < 60000; ++i) append_utf8(text, characters[i]);
  const std::vector<TokenId> ids = model_->tokenizer().encode(text, {.add_special = false});
  std::vector<ScoreRequest> requests;
  for (auto window = ids.begin(); ids.end() - window >= 512; window += 512) {
    requests.push_back({.tokens = {window, window + 512}, .first = 1});
  }
  const double value = perplexity(*model_, requests, tokens("wikitext2_ppl"));
  EXPECT_NEAR(value / expected("wikitext2_ppl"), 1, 1e-5);
}

}  // namespace
}  // namespace lowbit
