#include "evaluation/choice_requests.h"

#include <gmock/gmock.h>

#include "support/byte_tokenizer.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::ByteTokenizer;
using ::testing::ElementsAre;
using testing::error_text;
using ::testing::IsEmpty;

/// Bytes, but "bc" is one token, 300; and BOS is written "<s>".
class MergingTokenizer : public ByteTokenizer {
 public:
  using ByteTokenizer::ByteTokenizer;
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override {
    std::vector<TokenId> ids;
    if (adds_bos() && options.add_special) ids.push_back(kBos);
    while (!text.empty()) {
      const bool bos = text.starts_with("<s>");
      const bool merged = text.starts_with("bc");
      ids.push_back(bos ? kBos : merged ? 300 : static_cast<unsigned char>(text[0]));
      text.remove_prefix(bos ? 3 : merged ? 2 : 1);
    }
    return ids;
  }
  [[nodiscard]] std::string piece(TokenId id) const override { return id == kBos ? "<s>" : ByteTokenizer::piece(id); }
};

constexpr TokenId kBos = ByteTokenizer::kBos;

TEST(ContinuationRequest, MovesBlanksOfTheContextToTheContinuation) {
  const ScoreRequest request = continuation_request(ByteTokenizer(), "ab \n", "c");
  EXPECT_THAT(request.tokens, ElementsAre('a', 'b', ' ', '\n', 'c'));
  EXPECT_EQ(request.first, 2);
}

TEST(ContinuationRequest, TokenizesBothAsOneText) {
  const ScoreRequest request = continuation_request(MergingTokenizer(), "ab", "cd");
  // The context alone has two tokens, and the merge over the border is the second one: what follows it is scored.
  EXPECT_THAT(request.tokens, ElementsAre('a', 300, 'd'));
  EXPECT_EQ(request.first, 2);
  EXPECT_EQ(error_text(ErrorCode::kData, [] { (void)continuation_request(MergingTokenizer(), "ab", "c"); }),
            "the answer 'c' has no token of its own behind its context");
}

TEST(ContinuationRequest, PutsBosOnce) {
  EXPECT_THAT(continuation_request(MergingTokenizer(true), "a", "b").tokens, ElementsAre(kBos, 'a', 'b'));
  EXPECT_THAT(continuation_request(MergingTokenizer(true), "<s>a", "b").tokens, ElementsAre(kBos, 'a', 'b'));
  EXPECT_THAT(continuation_request(MergingTokenizer(false), "a", "b").tokens, ElementsAre('a', 'b'));
}

TEST(ContinuationRequest, StandsBehindBosWithoutAContext) {
  for (const bool adds_bos : {false, true}) {
    const ScoreRequest request = continuation_request(MergingTokenizer(adds_bos), "", "ab");
    EXPECT_THAT(request.tokens, ElementsAre(kBos, 'a', 'b'));
    EXPECT_EQ(request.first, 1);
    EXPECT_THAT(continuation_request(MergingTokenizer(adds_bos), "", "<s>ab").tokens, ElementsAre(kBos, 'a', 'b'));
  }
  EXPECT_THAT(continuation_request(MergingTokenizer(), " ", "a").tokens, ElementsAre(kBos, ' ', 'a'));
}

ExampleSet set_of(const std::string& context, const std::vector<std::string>& answers) {
  Example example;
  example.where = "t:1";
  example.contexts = {context};
  example.continuations = answers;
  example.choices = answers;
  example.gold = {0};
  ExampleSet set;
  set.examples = {example};
  return set;
}

TEST(ChoicePlan, CutsTheBeginningAndKeepsTheAnswers) {
  const ChoicePlan plan = plan_choices(set_of("abcdef", {"x", "yz"}), ByteTokenizer(), 4, false);
  EXPECT_THAT(plan.requests.requests[0].tokens, ElementsAre('c', 'd', 'e', 'f', 'x'));
  EXPECT_THAT(plan.requests.requests[1].tokens, ElementsAre('d', 'e', 'f', 'y', 'z'));
  EXPECT_EQ(plan.requests.requests[1].first, 3);
  ASSERT_EQ(plan.truncated.size(), 1U);
  EXPECT_EQ(plan.truncated[0].message,
            "the prompt of 7 tokens is longer than the model's context of 4 and was scored without its beginning");
  EXPECT_THAT(plan.problems, IsEmpty());
}

TEST(ChoicePlan, NamesAnswersThatDoNotFit) {
  const ChoicePlan plan = plan_choices(set_of("ab", {"vwxyz"}), ByteTokenizer(), 4, false);
  EXPECT_THAT(plan.requests.requests, IsEmpty());
  ASSERT_EQ(plan.problems.size(), 1U);
  EXPECT_EQ(plan.problems[0].where, "t:1");
  EXPECT_EQ(plan.problems[0].message, "an answer of 5 tokens does not fit the model's context of 4");
}

TEST(ChoicePlan, AddsUnconditionalRequests) {
  const ChoicePlan plan = plan_choices(set_of("q", {" a", " b"}), ByteTokenizer(), 0, true);
  EXPECT_THAT(plan.requests.groups, ElementsAre(2, 2));
  EXPECT_THAT(plan.counts, ElementsAre(4));
  EXPECT_THAT(plan.requests.requests[3].tokens, ElementsAre(kBos, ' ', 'b'));
}

}  // namespace
}  // namespace lowbit
