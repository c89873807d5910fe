#include "text/unicode.h"

#include <gtest/gtest.h>

#include <chrono>

namespace lowbit {
namespace {

// Examples of Unicode standard annex 15, figures 3 to 6.
TEST(NormalizeUnicode, GivesTheFourForms) {
  EXPECT_EQ(normalize_unicode("\u212B", NormalForm::kNfc), "\u00C5");
  EXPECT_EQ(normalize_unicode("\u212B", NormalForm::kNfd), "A\u030A");
  EXPECT_EQ(normalize_unicode("\u1E9B\u0323", NormalForm::kNfc), "\u1E9B\u0323");
  EXPECT_EQ(normalize_unicode("\u1E9B\u0323", NormalForm::kNfd), "\u017F\u0323\u0307");
  EXPECT_EQ(normalize_unicode("\u1E9B\u0323", NormalForm::kNfkc), "\u1E69");
  EXPECT_EQ(normalize_unicode("\u1E9B\u0323", NormalForm::kNfkd), "s\u0323\u0307");
  EXPECT_EQ(normalize_unicode("\uFB01", NormalForm::kNfc), "\uFB01");
  EXPECT_EQ(normalize_unicode("\uFB01", NormalForm::kNfkc), "fi");
  EXPECT_EQ(normalize_unicode("\u1100\u1161\u11A8", NormalForm::kNfc), "\uAC01");
  EXPECT_EQ(normalize_unicode("plain", NormalForm::kNfkd), "plain");
}

// Two kinds of marks in turn are the worst case of a sort by swapping neighbours: 10^11 steps here.
TEST(NormalizeUnicode, OrdersLongRunsOfMarksQuickly) {
  std::string marks = "a";
  std::string below;
  std::string above;
  for (int i = 0; i < 200000; ++i) {
    marks += "\u0307\u0323";
    below += "\u0323";
    above += "\u0307";
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(normalize_unicode(marks, NormalForm::kNfd), "a" + below + above);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(ToLower, WorksCharacterByCharacter) { EXPECT_EQ(to_lower("ÀΣ\u0130I\u1E9E漢"), "àσi\u0307i\u00DF漢"); }

TEST(CharacterClasses, FollowTheProperties) {
  for (const char32_t c : {0x09, 0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000, 0x200A, 0x2028, 0x3000}) {
    EXPECT_TRUE(is_white_space(c)) << static_cast<std::uint32_t>(c);
  }
  for (const char32_t c : {0x08, 0x1C, 0x1F, 0x180E, 0x200B, 0x2060, 0xFEFF})
    EXPECT_FALSE(is_white_space(c)) << static_cast<std::uint32_t>(c);
  for (const char32_t c : {U'7', U'٣', U'Ⅷ', U'½', U'²'}) EXPECT_TRUE(is_numeric(c)) << static_cast<std::uint32_t>(c);
  EXPECT_FALSE(is_numeric(U'a'));
  for (const char32_t c : {U'a', U'_', U'漢', U'\u0301', U'\u200D', U'Ⓐ', U'7'})
    EXPECT_TRUE(is_word_character(c)) << static_cast<std::uint32_t>(c);
  for (const char32_t c : {U' ', U'-', U'½', U'🦙'})
    EXPECT_FALSE(is_word_character(c)) << static_cast<std::uint32_t>(c);
}

}  // namespace
}  // namespace lowbit
