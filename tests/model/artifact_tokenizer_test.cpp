#include "model/artifact_tokenizer.h"

#include <gtest/gtest.h>

#include <string>

#include "lowbit/base/files.h"
#include "lowbit/text/tokenizer.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using lowbit::testing::shared_data;
using lowbit::testing::TemporaryFolder;

constexpr const char* kTexts[] = {
    "", "Hello world", "  two spaces, 1234567 digits\n\n\tand a tab ",
    "can't, won't, I'LL; na\u00efve \u4f60\u597d \U0001F468\u200D\U0001F469\u200D\U0001F467",
    "a<s>b</s> <|endoftext|> x"};

// The vocabulary of a GGUF file, written out for Hugging Face's readers and read back.
void expect_same_tokens(const std::filesystem::path& gguf) {
  const TemporaryFolder folder;
  const auto original = load_tokenizer(gguf);
  save_tokenizer(*original, gguf, folder.path());
  const auto saved = load_tokenizer(folder.path());
  ASSERT_EQ(saved->size(), original->size());
  EXPECT_EQ(saved->bos(), original->bos());
  EXPECT_EQ(saved->eos(), original->eos());
  EXPECT_EQ(saved->adds_bos(), original->adds_bos());
  for (const char* text : kTexts) {
    for (const bool special : {false, true}) {
      const EncodeOptions options{special, true};
      const auto ids = original->encode(text, options);
      EXPECT_EQ(saved->encode(text, options), ids) << text;
      EXPECT_EQ(saved->decode(ids), original->decode(ids)) << text;
    }
  }
  for (TokenId id = 0; id < original->size(); ++id) {
    ASSERT_EQ(saved->piece(id), original->piece(id)) << id;
    ASSERT_EQ(saved->is_special(id), original->is_special(id)) << id;
  }
}

TEST(SavedTokenizer, GivesTheTokensOfAByteLevelVocabulary) {
  const auto gguf = shared_data("tokenizers/llama.cpp-vocab/ggml-vocab-gpt-2.gguf");
  if (!gguf) GTEST_SKIP() << "no tokenizers/llama.cpp-vocab in the test data";
  expect_same_tokens(*gguf);
}

TEST(SavedTokenizer, GivesTheTokensOfASentencepieceVocabulary) {
  const auto gguf = shared_data("tokenizers/llama.cpp-vocab/ggml-vocab-llama-spm.gguf");
  if (!gguf) GTEST_SKIP() << "no tokenizers/llama.cpp-vocab in the test data";
  expect_same_tokens(*gguf);
}

TEST(SavedTokenizer, CopiesTheFilesOfAFolder) {
  const TemporaryFolder base;
  const TemporaryFolder folder;
  const auto model = shared_data("tokenizers/llama2/tokenizer.model");
  if (!model) GTEST_SKIP() << "no tokenizers/llama2 in the test data";
  std::filesystem::copy_file(*model, base / "tokenizer.model");
  write_file_atomically(base / "tokenizer_config.json", "{\"add_bos_token\": false}");
  write_file_atomically(base / "README.md", "not a tokenizer");
  save_tokenizer(*load_tokenizer(base.path()), base.path(), folder.path());
  EXPECT_EQ(read_file(folder / "tokenizer.model"), read_file(*model));
  EXPECT_EQ(read_file(folder / "tokenizer_config.json"), "{\"add_bos_token\": false}");
  EXPECT_FALSE(std::filesystem::exists(folder / "README.md"));
}

}  // namespace
}  // namespace lowbit
