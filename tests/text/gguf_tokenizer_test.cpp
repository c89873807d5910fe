#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <sstream>

#include "lowbit/containers/gguf_writer.h"
#include "support/error_text.h"
#include "support/test_data.h"
#include "text_golden.h"

namespace lowbit {
namespace {

using ::testing::HasSubstr;
using Ids = std::vector<TokenId>;
using testing::error_text;
using testing::golden;
using testing::ids_of;

// The byte-level vocabulary of the golden file, as a converter would write it.
std::vector<GgufItem> metadata(const std::string& pre) {
  const Json& model = golden("pipelines.json")["models"]["bytes"];
  std::vector<std::string> tokens(600);
  for (const auto& [piece, id] : model["vocab"].items()) tokens[id.get<std::size_t>()] = piece;
  tokens.emplace_back("<|im_start|>");
  std::vector<std::int64_t> types(601, 1);
  types[0] = types[600] = 3;
  std::vector<std::string> merges;
  for (const Json& merge : model["merges"]) {
    merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  return {{"tokenizer.ggml.model", GgufType::kString, std::string("gpt2")},
          {"tokenizer.ggml.pre", GgufType::kString, pre},
          {"tokenizer.ggml.tokens", GgufType::kString, tokens},
          {"tokenizer.ggml.token_type", GgufType::kI32, types},
          {"tokenizer.ggml.merges", GgufType::kString, merges},
          {"tokenizer.ggml.bos_token_id", GgufType::kU32, std::int64_t{600}},
          {"tokenizer.ggml.eos_token_id", GgufType::kU32, std::int64_t{0}}};
}

std::unique_ptr<Tokenizer> load(const std::vector<GgufItem>& items) {
  const testing::TemporaryFolder folder;
  GgufWriter(folder / "vocab.gguf", items, {}).finish();
  return load_tokenizer(folder / "vocab.gguf");
}

void expect_variant(const Tokenizer& tokenizer, const std::string& name) {
  const Json& all = golden("pipelines.json");
  const Json& variant = all["variants"][name];
  for (std::size_t i = 0; i < variant["ids"].size(); ++i) {
    const std::string text = all["strings"][i];
    const Ids ids = ids_of(tokenizer, text);
    // llama.cpp's contractions are ASCII, so U+017F is no "s" to it; the other texts are as in tokenizer.json.
    if (text.find("'\xC5\xBF") == std::string::npos && text.find("<|im_start|>") == std::string::npos) {
      EXPECT_EQ(ids, variant["ids"][i].get<Ids>()) << text;
    }
    EXPECT_EQ(tokenizer.decode(ids), text);
    EXPECT_EQ(tokenizer.decode(ids_of(tokenizer, text, false)), text);
  }
}

TEST(GgufTokenizer, CutsAsTheNamedPreTokenizerDoes) {
  expect_variant(*load(metadata("gpt-2")), "gpt2");
  expect_variant(*load(metadata("smollm")), "smollm");
  expect_variant(*load(metadata("starcoder")), "smollm");
  expect_variant(*load(metadata("llama-bpe")), "llama3");
}

TEST(GgufTokenizer, FramesAsTheNamedPreTokenizerDoes) {
  EXPECT_FALSE(load(metadata("smollm"))->adds_bos());
  const auto llama = load(metadata("llama-bpe"));
  EXPECT_TRUE(llama->adds_bos());
  EXPECT_EQ(llama->encode("").front(), 600);
  EXPECT_EQ(llama->kind(), "byte-level BPE (llama-bpe)");
  EXPECT_NE(llama->fingerprint(), load(metadata("llama3"))->fingerprint());
}

TEST(GgufTokenizer, RefusesUnknownPreTokenizersRatherThanGuess) {
  EXPECT_THAT(error_text(ErrorCode::kUnsupported, [] { (void)load(metadata("brand-new")); }),
              HasSubstr("the pre-tokenizer 'tokenizer.ggml.pre' = 'brand-new' is not supported; known are codeshell,"));
  auto items = metadata("gpt-2");
  items.erase(items.begin() + 1);
  EXPECT_THAT(error_text(ErrorCode::kUnsupported, [&] { (void)load(items); }),
              HasSubstr("'tokenizer.ggml.pre' is missing, so how words are cut is unknown; convert the model again"));
  items = metadata("gpt-2");
  items[0].value = std::string("t5");
  EXPECT_THAT(error_text(ErrorCode::kUnsupported, [&] { (void)load(items); }),
              HasSubstr("the tokenizer 'tokenizer.ggml.model' = 't5' is not supported; known are gpt2, llama"));
}

TEST(GgufTokenizer, RefusesBrokenMerges) {
  auto items = metadata("gpt-2");
  items[4].value = std::vector<std::string>{"ab"};
  EXPECT_THAT(error_text(ErrorCode::kData, [&] { (void)load(items); }),
              HasSubstr("merge 0 is 'ab', expected two tokens and a space between"));
}

// llama.cpp's own test vectors: strings between separator lines, a line of ids for each.
class LlamaCppVectors : public ::testing::TestWithParam<const char*> {};

TEST_P(LlamaCppVectors, GiveTheSameIds) {
  const std::string name = std::string("tokenizers/llama.cpp-vocab/ggml-vocab-") + GetParam() + ".gguf";
  const auto vocabulary = testing::shared_data(name);
  if (!vocabulary) GTEST_SKIP() << "no " << name << " in the test data";
  const auto tokenizer = load_tokenizer(*vocabulary);
  const std::string inputs = read_file(vocabulary->string() + ".inp");
  std::istringstream outputs(read_file(vocabulary->string() + ".out"));
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::string line;
  std::size_t begin = 0;
  int count = 0;
  for (; begin <= inputs.size() && std::getline(outputs, line); ++count) {
    const std::size_t end = std::min(inputs.find(separator, begin), inputs.size());
    std::istringstream numbers(line);
    const Ids want{std::istream_iterator<TokenId>(numbers), {}};
    const std::string text = inputs.substr(begin, end - begin);
    EXPECT_EQ(ids_of(*tokenizer, text), want) << text;
    EXPECT_EQ(tokenizer->decode(want), text);
    begin = end + separator.size();
  }
  EXPECT_EQ(count, 46);
}

INSTANTIATE_TEST_SUITE_P(All, LlamaCppVectors, ::testing::Values("gpt-2", "llama-spm"));

}  // namespace
}  // namespace lowbit
