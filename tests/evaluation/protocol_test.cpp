#include "evaluation/protocol.h"

#include <gmock/gmock.h>

#include <numeric>

#include "lowbit/base/error.h"
#include "support/byte_tokenizer.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::ByteTokenizer;
using ::testing::ElementsAre;

Corpus corpus_of(std::vector<std::string> documents) {
  return {.dataset = "tale",
          .split = "test",
          .documents = std::move(documents),
          .groups = {},
          .separator = "-",
          .hash = {}};
}

ProtocolPlan plan(const std::string& protocol, std::vector<std::string> documents, bool bos = false,
                  std::int64_t limit = 0, std::int64_t context = 100) {
  return plan_protocol(parse_protocol(protocol).value(), corpus_of(std::move(documents)), ByteTokenizer(bos), limit,
                       context);
}

std::string text_of(const ScoreRequest& request) {
  std::string text;
  for (const TokenId id : request.tokens) text += id == ByteTokenizer::kBos ? '^' : static_cast<char>(id);
  return text;
}

template <typename Action>
std::string error_of(ErrorCode code, Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "no error";
}

TEST(ProtocolName, TellsFamilyAndLength) {
  EXPECT_EQ(parse_protocol("gptq-2048")->length, 2048);
  EXPECT_EQ(parse_protocol("llama.cpp-512")->kind, Protocol::Kind::kLlamaCpp);
  EXPECT_EQ(parse_protocol("lm-eval")->length, 0);
  EXPECT_FALSE(parse_protocol("lm-eval-2048")->detokenize);
  EXPECT_TRUE(parse_protocol("lm-eval-wikitext")->detokenize);
  EXPECT_EQ(parse_protocol("lm-eval-wikitext-64")->length, 64);
  for (const char* name :
       {"", "gptq", "gptq-", "gptq-1", "gptq-5x", "gptq--5", "gptq512", "lm-eval-", "lm-evil", "gptq-99999999"}) {
    EXPECT_FALSE(parse_protocol(name)) << name;
  }
}

// One text, BOS once, the last partial window dropped.
TEST(GptqProtocol, CutsTheJoinedTextOnce) {
  const ProtocolPlan result = plan("gptq-4", {"abc", "defg", "h"}, true);
  ASSERT_EQ(result.requests.size(), 2U);
  EXPECT_EQ(text_of(result.requests[0]), "^abc");
  EXPECT_EQ(text_of(result.requests[1]), "-def");
  EXPECT_EQ(result.requests[1].first, 1);
  EXPECT_EQ(result.units[1].id, "window 1");
  EXPECT_EQ(result.units[1].weight, 3);
  EXPECT_EQ(result.text_tokens, 11);
  EXPECT_EQ(result.text_bytes, 10U);
  EXPECT_EQ(result.scored_tokens, 6);
  EXPECT_EQ(result.read_tokens(), 6);
  EXPECT_EQ(plan("gptq-4", {"abcdefghijk"}, false, 1).units.size(), 1U);
}

TEST(LlamaCppProtocol, ReplacesTheFirstTokenAndScoresTheSecondHalf) {
  const ProtocolPlan result = plan("llama.cpp-6", {"abcdefghijkl"}, true);
  ASSERT_EQ(result.requests.size(), 2U);
  EXPECT_EQ(text_of(result.requests[0]), "^abcde");
  EXPECT_EQ(text_of(result.requests[1]), "^ghijk");
  // n_ctx - n_ctx / 2 - 1 tokens each
  EXPECT_EQ(result.requests[1].first, 4);
  EXPECT_EQ(result.units[1].weight, 2);
  EXPECT_EQ(text_of(plan("llama.cpp-6", {"abcdefghijkl"}).requests[1]), "ghijkl");
}

TEST(LmEvalProtocol, ScoresEachDocumentBehindAPrefix) {
  const ProtocolPlan result = plan("lm-eval", {"ab c", "", "de"}, false, 0, 3);
  ASSERT_EQ(result.units.size(), 2U);
  EXPECT_EQ(result.units[0].id, "document 0");
  EXPECT_EQ(result.units[1].id, "document 2");
  EXPECT_EQ(result.units[0].weight, 2);  // words
  EXPECT_EQ(result.units[0].more.at("bytes"), 4);
  EXPECT_EQ(result.units[0].more.at("tokens"), 4);
  ASSERT_EQ(result.units[0].requests, 2U);
  EXPECT_EQ(text_of(result.requests[0]), "^ab ");
  EXPECT_EQ(text_of(result.requests[1]), "ab c");  // reads 3 tokens, scores the one that is left
  EXPECT_EQ(result.requests[1].first, 3);
  EXPECT_EQ(text_of(result.requests[2]), "^de");
}

TEST(RollingWindows, ScoreEveryTokenOnceAndReadFullWindows) {
  for (std::int64_t count = 1; count < 40; ++count) {
    std::vector<TokenId> ids(static_cast<std::size_t>(count));
    std::iota(ids.begin(), ids.end(), 0);
    for (std::int64_t length = 1; length < 12; ++length) {
      std::vector<TokenId> scored;
      for (const ScoreRequest& request : rolling_windows(ids, 999, length)) {
        const auto read = static_cast<std::int64_t>(request.tokens.size()) - 1;
        EXPECT_EQ(read, std::min(length, count));
        scored.insert(scored.end(), request.tokens.begin() + request.first, request.tokens.end());
      }
      EXPECT_EQ(scored, ids) << count << " " << length;
    }
  }
}

TEST(RollingWindows, AreOneWindowWhenTheTextFits) {
  EXPECT_EQ(rolling_windows({1, 2, 3}, 9, 3).size(), 1U);
  EXPECT_THAT(rolling_windows({1, 2, 3}, 9, 3)[0].tokens, ElementsAre(9, 1, 2, 3));
  EXPECT_EQ(rolling_windows({1, 2, 3}, 9, 100).size(), 1U);
}

TEST(Protocols, SayWhatTheyNeed) {
  EXPECT_EQ(error_of(ErrorCode::kData, [] { (void)plan("gptq-12", {"abcdefghijk"}); }),
            "perplexity: split 'test' of dataset 'tale' has 11 tokens, protocol 'gptq-12' needs at least 12");
  EXPECT_EQ(error_of(ErrorCode::kData, [] { (void)plan("llama.cpp-6", {"abcdefghijk"}); }),
            "perplexity: split 'test' of dataset 'tale' has 11 tokens, protocol 'llama.cpp-6' needs at least 12");
  EXPECT_EQ(error_of(ErrorCode::kConfig, [] { (void)plan("gptq-12", {"abcdefghijk"}, false, 0, 8); }),
            "perplexity: protocol 'gptq-12' reads 12 tokens at once, the model's context is 8");
  EXPECT_EQ(error_of(ErrorCode::kConfig, [] { (void)plan("llama.cpp-2", {"abcdefghijk"}); }),
            "perplexity: protocol 'llama.cpp-2' scores no token of such short windows");
  EXPECT_EQ(error_of(ErrorCode::kData,
                     [] {
                       (void)plan("lm-eval", {"", ""});
                     }),
            "perplexity: split 'test' of dataset 'tale' has no document with a token");
}

}  // namespace
}  // namespace lowbit
