// Against Hugging Face's tokenizers; golden/text/make_golden.py made the numbers.
#include <gtest/gtest.h>

#include <thread>

#include "support/test_data.h"
#include "text_golden.h"

namespace lowbit {
namespace {

using testing::golden;
using testing::ids_of;

class GoldenPipeline : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const Json& all = golden("pipelines.json");
    variant_ = &all["variants"][GetParam()];
    Json file = (*variant_)["shell"];
    file["model"] = all["models"][(*variant_)["model"].get<std::string>()];
    file["model"]["ignore_merges"] = (*variant_)["ignore_merges"];
    write_file_atomically(folder_ / "tokenizer.json", file.dump());
    tokenizer_ = load_tokenizer(folder_.path());
  }
  [[nodiscard]] std::size_t count() const { return (*variant_)["ids"].size(); }
  [[nodiscard]] std::string text(std::size_t i) const { return golden("pipelines.json")["strings"][i]; }
  [[nodiscard]] std::vector<TokenId> expected(std::size_t i) const { return (*variant_)["ids"][i]; }

  testing::TemporaryFolder folder_;
  const Json* variant_ = nullptr;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(GoldenPipeline, EncodesAsTheReferenceDoes) {
  for (std::size_t i = 0; i < count(); ++i) EXPECT_EQ(ids_of(*tokenizer_, text(i)), expected(i)) << text(i);
}

TEST_P(GoldenPipeline, LeavesSpecialTokensAsTextWhenAsked) {
  const Json& unparsed = (*variant_)["unparsed"];
  for (std::size_t i = 0; i < count(); ++i) {
    const auto found = unparsed.find(std::to_string(i));
    const auto want = found == unparsed.end() ? expected(i) : found->get<std::vector<TokenId>>();
    EXPECT_EQ(ids_of(*tokenizer_, text(i), false), want) << text(i);
  }
}

TEST_P(GoldenPipeline, DecodesAsTheReferenceDoes) {
  const Json& decoded = (*variant_)["decoded"];
  for (std::size_t i = 0; i < count(); ++i) {
    const auto found = decoded.find(std::to_string(i));
    EXPECT_EQ(tokenizer_->decode(expected(i)), found == decoded.end() ? text(i) : found->get<std::string>());
  }
}

TEST_P(GoldenPipeline, AddsItsFrameOnlyWhenAsked) {
  EXPECT_EQ(tokenizer_->encode(""), (*variant_)["frame"].get<std::vector<TokenId>>());
  EXPECT_TRUE(ids_of(*tokenizer_, "").empty());
}

TEST_P(GoldenPipeline, NamesEachTokenAndFindsItAgain) {
  for (TokenId id = 0; id < tokenizer_->size(); ++id) EXPECT_EQ(tokenizer_->find(tokenizer_->piece(id)), id);
}

std::vector<std::string> variant_names() {
  std::vector<std::string> names;
  for (const auto& [name, value] : golden("pipelines.json")["variants"].items()) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenPipeline, ::testing::ValuesIn(variant_names()),
                         [](const auto& given) { return given.param; });

std::unique_ptr<Tokenizer> load_variant(const std::string& name, const testing::TemporaryFolder& folder) {
  const Json& all = golden("pipelines.json");
  Json file = all["variants"][name]["shell"];
  file["model"] = all["models"][all["variants"][name]["model"].get<std::string>()];
  write_file_atomically(folder / "tokenizer.json", file.dump());
  return load_tokenizer(folder.path());
}

TEST(PipelineTokenizer, GivesTheSameFromSeveralThreads) {
  const testing::TemporaryFolder folder;
  const auto tokenizer = load_variant("smollm", folder);
  const std::string text = golden("pipelines.json")["strings"][3];
  const auto want = ids_of(*tokenizer, text);
  std::vector<std::thread> threads;
  std::vector<int> equal(4, 0);
  for (std::size_t t = 0; t < equal.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) equal[t] += ids_of(*tokenizer, text) == want ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 50));
}

TEST(PipelineTokenizer, TakesBosAndEosFromTheConfigBesideIt) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "tokenizer_config.json",
                        R"({"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|end|>", "add_bos_token": true})");
  const auto tokenizer = load_variant("smollm", folder);
  EXPECT_EQ(tokenizer->bos(), 600);
  EXPECT_EQ(tokenizer->eos(), 0);
  // With a tokenizer.json its post-processor decides alone, as in transformers.
  EXPECT_FALSE(tokenizer->adds_bos());
  EXPECT_TRUE(tokenizer->is_special(600));
  EXPECT_FALSE(tokenizer->is_special(42));
}

TEST(PipelineTokenizer, AddsTheTokensOfTheConfig) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "tokenizer_config.json",
                        R"({"added_tokens_decoder": {"601": {"content": "<new>", "special": true}}})");
  const auto tokenizer = load_variant("smollm", folder);
  EXPECT_EQ(ids_of(*tokenizer, "<new>"), std::vector<TokenId>{601});
  EXPECT_EQ(tokenizer->size(), 602);
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{601}, true), "");
}

TEST(PipelineTokenizer, FingerprintsDifferWithContentAndConfig) {
  const testing::TemporaryFolder one;
  const testing::TemporaryFolder two;
  const testing::TemporaryFolder three;
  const testing::TemporaryFolder configured;
  write_file_atomically(configured / "tokenizer_config.json", R"({"bos_token": "<|end|>"})");
  const Hash hash = load_variant("gpt2", one)->fingerprint();
  EXPECT_EQ(hash, load_variant("gpt2", two)->fingerprint());
  EXPECT_NE(hash, load_variant("smollm", three)->fingerprint());
  EXPECT_NE(hash, load_variant("gpt2", configured)->fingerprint());
}

}  // namespace
}  // namespace lowbit
