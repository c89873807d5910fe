#include "text/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/error_text.h"

namespace lowbit {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> matches(const std::string& pattern, const std::string& text) {
  std::vector<Range> found;
  Regex(pattern, "test").find_all(text, found);
  std::vector<std::string> result;
  for (const Range& range : found) result.push_back(text.substr(range.begin, range.end - range.begin));
  return result;
}
using Strings = std::vector<std::string>;

// The property White_Space has U+0085 and lacks U+180E and U+200B; PCRE2's own \s counts U+180E.
TEST(Regex, TakesWhiteSpaceFromUnicode) {
  EXPECT_EQ(matches(R"(\s)", "a\u0085b\u180Ec\u3000d\u200Be"), (Strings{"\u0085", "\u3000"}));
  EXPECT_EQ(matches(R"([^\s])", "\u0085\u180E"), Strings{"\u180E"});
  EXPECT_EQ(matches(R"(\S+)", "a\u180Eb c"), (Strings{"a\u180Eb", "c"}));
}

TEST(Regex, ReadsWordCharactersAndScriptsAsOnigurumaDoes) {
  EXPECT_EQ(matches(R"(\w+)", "e\u0301_\u2160 \u00BD"), Strings{"e\u0301_\u2160"});
  // U+3001 is common to several scripts and belongs to none of them.
  EXPECT_EQ(matches(R"(\p{Han}+)", "漢、字"), (Strings{"漢", "字"}));
  EXPECT_EQ(matches(R"(\p{^L}+)", "a1!b"), Strings{"1!"});
}

TEST(Regex, GoesOnBehindEmptyMatches) {
  EXPECT_EQ(matches("x*", "axxé"), (Strings{"", "xx", ""}));
  EXPECT_EQ(matches("(?=b)", "abab"), (Strings{"", ""}));
  EXPECT_EQ(matches("(?!)", "ab"), Strings{});
}

TEST(Regex, EscapesLiterals) {
  const std::string literal = R"(a.b*[c]{d}(e)^$|\+?#-&~/)";
  EXPECT_EQ(matches(escape_regex(literal), "x" + literal + "y"), Strings{literal});
}

TEST(Regex, RefusesWhatTheEnginesReadDifferently) {
  const auto refusal = [](const char* pattern) {
    return testing::error_text(ErrorCode::kUnsupported, [&] { Regex(pattern, "file: 'pattern'"); });
  };
  EXPECT_EQ(refusal(R"(a\b)"), R"(file: 'pattern': regular expression 'a\b' cannot be used: escape '\b' is not known)");
  EXPECT_THAT(refusal("[a-z&&[^b]]"), HasSubstr("class intersection '&&' is not known"));
  EXPECT_THAT(refusal("[[:alpha:]]"), HasSubstr("POSIX classes such as '[:alpha:]' are not known"));
  EXPECT_THAT(refusal("[a[b]]"), HasSubstr("a class within a class is not known"));
  EXPECT_THAT(refusal("a{1,3}+"), HasSubstr("'{n,m}+' repeats a repetition here"));
  EXPECT_THAT(refusal("(?<n>a)"), HasSubstr("only the groups"));
  EXPECT_THAT(refusal("(?R)"), HasSubstr("only the groups"));
  EXPECT_THAT(refusal("(*UTF)"), HasSubstr("only the groups"));
  EXPECT_THAT(refusal(R"((a)\1)"), HasSubstr(R"(escape '\1' is not known)"));
  EXPECT_THAT(refusal("(a"), HasSubstr("missing closing parenthesis"));
  EXPECT_THAT(refusal(R"(\p{Nonsense})"), HasSubstr("unknown property"));
}

TEST(Regex, TakesAMegabyteOfSpaces) {
  const std::string spaces(1 << 20, ' ');
  EXPECT_EQ(matches(R"(\s*[\r\n]+|\s+(?!\S)|\s+)", spaces + "x").size(), 2U);
}

}  // namespace
}  // namespace lowbit
