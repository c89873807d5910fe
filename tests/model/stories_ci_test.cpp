// The model stories260K against what transformers computes in float32 (reference.json beside it states the protocols).
#include <gtest/gtest.h>

#include <cmath>

#include "model_cases.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using namespace testing;  // NOLINT: the cases' helpers

struct Sum {
  double nats = 0;
  std::int64_t tokens = 0;
};

void add(const Model& model, const std::vector<TokenId>& ids, Sum& sum) {
  const std::vector<std::int64_t> wide(ids.begin(), ids.end());
  const at::Tensor logits = logits_of(model, ids_tensor({wide})).select(0, 0);
  const at::Tensor scores = logits.to(at::kDouble).log_softmax(-1);
  for (std::size_t i = 1; i < wide.size(); ++i) {
    sum.nats -= scores[static_cast<std::int64_t>(i) - 1][wide[i]].item<double>();
    ++sum.tokens;
  }
}

class Stories : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto path = shared_data("models/stories260K");
    if (!path) GTEST_SKIP() << "no models/stories260K in the test data";
    reference = read_json(*path / "reference.json");
    model = Model::open(*path, {});
  }
  Json reference;
  std::shared_ptr<Model> model;
};

TEST_F(Stories, HasTheLogitsOfTransformers) {
  const auto ids = model->tokenizer().encode(reference["prompt"].get<std::string>());
  EXPECT_EQ(Json(ids), reference["prompt_ids"]);
  const at::Tensor logits = logits_of(*model, ids_tensor({std::vector<std::int64_t>(ids.begin(), ids.end())}));
  const at::Tensor last = logits.select(0, 0).select(0, logits.size(1) - 1);
  for (std::size_t i = 0; i < 16; ++i) {
    // Printed with 5 decimals.
    EXPECT_NEAR(last[static_cast<std::int64_t>(i)].item<double>(), reference["last_logits_first16"][i].get<double>(),
                3e-5);
  }
}

TEST_F(Stories, ContinuesAsTransformersDoes) {
  const auto ids = model->tokenizer().encode(reference["prompt"].get<std::string>());
  std::string streamed;
  const auto listen = [&](std::string_view text) { streamed += text; };
  const Generation result = generate(*model, ids, {.max_new_tokens = 64}, Cancellation(), listen);
  EXPECT_EQ(Json(result.ids), reference["greedy_64_ids"]);
  EXPECT_EQ(streamed, result.text);
  EXPECT_TRUE(result.text.starts_with(" girl")) << result.text;
}

// Perplexities are printed with 5 to 7 digits; float32 logits carry about 1e-6 into the mean.
TEST_F(Stories, HasTheStatedPerplexityOnTinyStories) {
  const auto path = shared_data("data/tinystories/tinystories_sample.txt");
  if (!path) GTEST_SKIP() << "no data/tinystories in the test data";
  const std::string text = read_file(*path);
  const std::string separator = "<|endoftext|>";
  Sum sum;
  std::size_t begin = 0;
  for (int piece = 0; piece < 100 && begin < text.size(); ++piece) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    std::string story = text.substr(begin, end - begin);
    begin = end + separator.size();
    story.erase(0, story.find_first_not_of(" \t\r\n"));
    story.erase(story.find_last_not_of(" \t\r\n") + 1);
    auto ids = model->tokenizer().encode(story, {.add_special = true, .parse_special = false});
    ids.resize(std::min<std::size_t>(ids.size(), 501));
    add(*model, ids, sum);
  }
  EXPECT_EQ(sum.tokens, reference["tinystories_ppl"]["tokens"].get<std::int64_t>());
  const double expected = reference["tinystories_ppl"]["value"].get<double>();
  EXPECT_NEAR(std::exp(sum.nats / static_cast<double>(sum.tokens)) / expected, 1.0, 1e-5);
}

TEST_F(Stories, HasTheStatedPerplexityOnWikitext) {
  const auto path = shared_data("data/wikitext2/wiki.test.raw");
  if (!path) GTEST_SKIP() << "no data/wikitext2 in the test data";
  const std::string text = read_file(*path);
  std::size_t end = 0;
  for (int characters = 0; characters < 60000; ++characters) {
    do ++end;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U);
  }
  const auto ids = model->tokenizer().encode(text.substr(0, end), {.add_special = false, .parse_special = false});
  Sum sum;
  for (std::size_t begin = 0; begin + 512 <= ids.size(); begin += 512) {
    add(*model,
        {ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.begin() + static_cast<std::ptrdiff_t>(begin + 512)},
        sum);
  }
  EXPECT_EQ(sum.tokens, reference["wikitext2_ppl"]["tokens"].get<std::int64_t>());
  const double expected = reference["wikitext2_ppl"]["value"].get<double>();
  EXPECT_NEAR(std::exp(sum.nats / static_cast<double>(sum.tokens)) / expected, 1.0, 1e-5);
}

}  // namespace
}  // namespace lowbit
