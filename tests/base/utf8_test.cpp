#include "lowbit/base/utf8.h"

#include <gtest/gtest.h>

#include <array>

#include "support/error_text.h"

namespace lowbit {
namespace {

bool is_surrogate(char32_t c) { return c >= 0xD800 && c <= 0xDFFF; }

TEST(Utf8, RoundTripsEveryCodePoint) {
  std::string all;
  std::vector<char32_t> expected;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (is_surrogate(c)) continue;
    append_utf8(all, c);
    expected.push_back(c);
  }
  // 128 of one byte, 1920 of two, 63488 - 2048 of three without the surrogates, 2^20 of four.
  EXPECT_EQ(all.size(), 128U + 2 * 1920U + 3 * (63488U - 2048U) + 4 * 1048576U);
  EXPECT_FALSE(find_invalid_utf8(all));
  EXPECT_TRUE(decode_utf8(all) == expected);
  EXPECT_TRUE(replace_invalid_utf8(all) == all);
}

TEST(AppendUtf8, ReplacesWhatIsNoScalarValue) {
  for (const char32_t c : {char32_t{0xD800}, char32_t{0xDFFF}, char32_t{0x110000}, char32_t{0xFFFFFFFF}}) {
    std::string text;
    append_utf8(text, c);
    EXPECT_EQ(text, "\xEF\xBF\xBD");
  }
}

TEST(FindInvalidUtf8, NamesTheFirstByte) {
  EXPECT_EQ(find_invalid_utf8("ab\xC3\xA9"
                              "c\xFF"),
            5U);
  EXPECT_EQ(find_invalid_utf8("a\xE2\x82"), 1U);  // truncated
  EXPECT_EQ(find_invalid_utf8(""), std::nullopt);
}

TEST(DecodeUtf8, NamesThePositionOfAnIllFormedSequence) {
  EXPECT_EQ(testing::error_text(ErrorCode::kData, [] { (void)decode_utf8("abc\xC0\x80"); }), "invalid UTF-8 at byte 3");
}

TEST(ReplaceInvalidUtf8, WritesOneCharacterForEachMaximalSubpart) {
  struct Case {
    std::string_view text;
    int replacements;  // len([c for c in bytes.decode("utf-8", "replace") if c == "\ufffd"]) in Python
  };
  for (const Case& c : {Case{"\x80", 1},
                        Case{"\xC0\x80", 2},
                        Case{"\xC1\xBF", 2},
                        Case{"\xC2", 1},
                        Case{"\xC2\x41", 1},
                        Case{"\xE0\x80\x80", 3},
                        Case{"\xE0\x9F\xBF", 3},
                        Case{"\xE0\xA0", 1},
                        Case{"\xED\xA0\x80", 3},
                        Case{"\xED\x9F", 1},
                        Case{"\xE2\x82", 1},
                        Case{"\xE2\x82\xE2\x82", 2},
                        Case{"\xF0\x80\x80\x80", 4},
                        Case{"\xF0\x8F\xBF\xBF", 4},
                        Case{"\xF0\x90\x80", 1},
                        Case{"\xF1\x80\x41", 1},
                        Case{"\xF4\x90\x80\x80", 4},
                        Case{"\xF5\x80\x80\x80", 4},
                        Case{"\xFF\xFE", 2},
                        Case{"\xF0\x9F\x98\xE2\x82\xAC", 1}}) {
    const std::string replaced = replace_invalid_utf8(c.text);
    EXPECT_FALSE(find_invalid_utf8(replaced));
    int count = 0;
    for (const char32_t code_point : decode_utf8(replaced)) count += code_point == 0xFFFD;
    EXPECT_EQ(count, c.replacements) << ::testing::PrintToString(c.text);
  }
}

// The sequences, the hash (FNV-1a of all results, each ended by a newline) and Python's value for it are in
// tests/golden/base/utf8_replace.py.
TEST(ReplaceInvalidUtf8, AgreesWithPythonOnAllShortSequencesOfBoundaryBytes) {
  static constexpr std::array<unsigned char, 24> kBytes = {0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF,
                                                           0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
                                                           0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
  std::uint64_t hash = 0xCBF29CE484222325;
  int count = 0;
  std::size_t strings_of_length = 1;
  for (std::size_t length = 1; length <= 4; ++length) {
    strings_of_length *= kBytes.size();
    for (std::size_t index = 0; index < strings_of_length; ++index, ++count) {
      std::string text(length, '\0');
      std::size_t rest = index;
      for (std::size_t i = length; i-- > 0; rest /= kBytes.size())
        text[i] = static_cast<char>(kBytes[rest % kBytes.size()]);
      for (const char c : replace_invalid_utf8(text) + "\n") {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
      }
    }
  }
  EXPECT_EQ(count, 346'200);
  EXPECT_EQ(hash, 0x7d405799b4d0ad09U);
}

}  // namespace
}  // namespace lowbit
