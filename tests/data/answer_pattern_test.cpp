#include "data/answer_pattern.h"

#include <gmock/gmock.h>

#include "support/error_text.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> found(const std::string& pattern, const std::string& text) {
  return AnswerPattern(pattern).find_all(text);
}

// Each expected list is what Python 3.11's re.findall gives, tuples cut to their first text that is not empty.
TEST(AnswerPattern, FindsWhatPythonFinds) {
  EXPECT_THAT(found("[0-9]+", "a 12 b 3"), ElementsAre("12", "3"));
  EXPECT_THAT(found("#### (.*)", "#### 4\n#### 5 "), ElementsAre("4", "5 "));
  EXPECT_THAT(found("(a)|(b)", "ab"), ElementsAre("a", "b"));
  EXPECT_THAT(found("x*", "axb"), ElementsAre("", "x", "", ""));
  EXPECT_THAT(found("^.", "ab\ncd"), ElementsAre("a"));
  EXPECT_THAT(found("(?m)^.", "ab\ncd"), ElementsAre("a", "c"));
  EXPECT_THAT(found(".$", "ab\n"), ElementsAre("b"));
  EXPECT_THAT(found("\\w+", "Größe 三"), ElementsAre("Größe", "三"));
  EXPECT_THAT(found("z", "abc"), IsEmpty());
}

TEST(AnswerPattern, ErasesWhatPythonErases) {
  EXPECT_EQ(AnswerPattern("(?s).*#### ").erase_all("a\n#### b #### 7"), "7");
  EXPECT_EQ(AnswerPattern("\\.$").erase_all("1.5."), "1.5");
  EXPECT_EQ(AnswerPattern(",").erase_all("1,000,000"), "1000000");
}

TEST(AnswerPattern, SaysWhatIsWrong) {
  EXPECT_EQ(testing::error_text(ErrorCode::kConfig, [] { AnswerPattern("a(b"); }),
            "regular expression 'a(b' cannot be used: missing closing parenthesis at character 4");
  EXPECT_EQ(testing::error_text(ErrorCode::kConfig, [] { AnswerPattern(std::string(5000, 'a')); }),
            "a regular expression of 5000 bytes, at most 4096 are accepted");
}

TEST(AnswerPattern, GivesUpOnPatternsThatNeedPowersOfTwo) {
  EXPECT_THAT(testing::error_text(ErrorCode::kUnsupported, [] { (void)found("(a+)+\\W", std::string(40, 'a')); }),
              ::testing::HasSubstr("regular expression '(a+)+\\W' gives up on a text of 40 bytes"));
}

}  // namespace
}  // namespace lowbit
