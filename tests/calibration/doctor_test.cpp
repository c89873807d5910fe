#include "lowbit/calibration/doctor.h"

#include <gmock/gmock.h>

#include "calibration/text_census.h"
#include "support/byte_tokenizer.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

Architecture small() {
  Architecture architecture;
  architecture.hidden = 8;
  architecture.intermediate = 24;
  architecture.heads = 2;
  architecture.head_dim = 6;
  return architecture;
}

CalibrationHealth health_of(const std::vector<std::string>& texts, bool adds_bos = false) {
  const testing::ByteTokenizer tokenizer(adds_bos);
  CalibrationSet set;
  for (const std::string& text : texts) set.sequences.push_back(tokenizer.encode(text));
  return examine(set, tokenizer, small());
}

TEST(CalibrationDoctor, CountsLengthsByPowersOfTwo) {
  const CalibrationHealth health = health_of({"abc", "abcd", "abcdefg", "abcdefgh"});
  ASSERT_EQ(health.lengths.size(), 3U);
  EXPECT_EQ(health.lengths[0].low, 2);
  EXPECT_EQ(health.lengths[0].high, 3);
  EXPECT_EQ(health.lengths[0].sequences, 1);
  EXPECT_EQ(health.lengths[1].sequences, 2);
  EXPECT_EQ(health.lengths[2].low, 8);
  EXPECT_EQ(health.tokens, 22);
  EXPECT_EQ(health.distinct_tokens, 8);
}

// 40 tokens of which the second sequence repeats 36 in a row, at another place: 36 of 80.
TEST(CalibrationDoctor, FindsWhatStoodInAnEarlierSequence) {
  std::string first;
  for (char c = '0'; c < '0' + 40; ++c) first += c;
  const CalibrationHealth health = health_of({first, first.substr(4) + "wxyz"});
  EXPECT_EQ(health.duplicates, 0);
  EXPECT_DOUBLE_EQ(health.repeated, 36.0 / 80);
  EXPECT_EQ(health_of({first, first}).duplicates, 1);
  EXPECT_DOUBLE_EQ(health_of({first, first}).repeated, 0.5);
  EXPECT_DOUBLE_EQ(health_of({first, first.substr(0, 31)}).repeated, 0) << "a run is 32 tokens";
}

TEST(CalibrationDoctor, StopsWhenALinearHasFewerTokensThanInputs) {
  EXPECT_THAT(health_of({std::string(23, 'a')}).problems,
              ElementsAre("too little: 23 tokens for linears of 24 inputs (down), whose Hessian is then singular; at "
                          "least 24 tokens are needed, 192 would be ample"));
  EXPECT_THAT(health_of({std::string(24, 'a')}).problems, IsEmpty());
  const CalibrationHealth few = health_of({std::string(11, 'a')});
  EXPECT_EQ(few.problems.size(), 2U) << "o has 12 inputs";
  EXPECT_DOUBLE_EQ(few.linears.front().tokens_per_input, 11.0 / 8);
}

TEST(CalibrationDoctor, TellsWhatTruncationLost) {
  const testing::ByteTokenizer tokenizer;
  CalibrationSet set;
  set.sequences = {tokenizer.encode("abcdefghi")};
  set.parts = {{.documents = 1, .used = 1, .truncated = 1, .truncated_tokens = 3}};
  const CalibrationHealth health = examine(set, tokenizer, small());
  EXPECT_EQ(health.truncated, 1);
  EXPECT_DOUBLE_EQ(health.truncation_loss, 0.25);
  EXPECT_THAT(health.remarks, ::testing::Contains("25 % of the documents' tokens are cut off; raise 'length'"));
}

TEST(CalibrationDoctor, MissesBosWhereTheModelReadsIt) {
  EXPECT_EQ(health_of({"abc"}, true).begins_with_bos, 1);
  EXPECT_EQ(health_of({"abc"}).begins_with_bos, 0);
  const testing::ByteTokenizer with_bos(true);
  CalibrationSet set;
  set.sequences = {with_bos.encode("abc", {.add_special = false}), with_bos.encode("abc")};
  EXPECT_THAT(examine(set, with_bos, small()).remarks,
              ::testing::Contains(HasSubstr("with BOS in front, and 1 of 2 sequences have none")));
}

TEST(TextCensus, CountsLettersByScriptAndLinesOfCode) {
  TextCensus census;
  census.add("Größe 12\nмир\n数据\n");
  EXPECT_THAT(census.letters(), ElementsAre(Pair("Cyrillic", 3), Pair("Han", 2), Pair("Latin", 5)));
  EXPECT_DOUBLE_EQ(census.code_share(), 0);
  census.add("int main() {\n  return 0;\n}\n\n    \nA sentence.");
  EXPECT_DOUBLE_EQ(census.code_share(), 3.0 / 7);
}

}  // namespace
}  // namespace lowbit
