#include "text/vocabulary.h"

#include <gtest/gtest.h>

#include <string>

#include "support/error_text.h"
#include "text/slot_table.h"

namespace lowbit {
namespace {

using testing::error_text;

TEST(Vocabulary, FindsPiecesAndIdsBetweenGaps) {
  constexpr TokenId kCount = 5000;
  Vocabulary vocabulary;
  for (TokenId i = 0; i < kCount; ++i) vocabulary.add("piece" + std::to_string(i), 7 * (kCount - i), "x.json");
  const Vocabulary copy = vocabulary.copy();
  vocabulary.add("another", 1, "x.json");
  EXPECT_EQ(copy.size(), 7 * kCount + 1);
  for (TokenId i = 0; i < kCount; ++i) {
    const std::string piece = "piece" + std::to_string(i);
    const TokenId id = 7 * (kCount - i);
    ASSERT_EQ(copy.find(piece), id);
    ASSERT_EQ(vocabulary.find(piece), id);
    ASSERT_NE(copy.piece(id), nullptr);
    ASSERT_EQ(*copy.piece(id), piece);
    ASSERT_EQ(copy.piece(id - 3), nullptr);
  }
  EXPECT_EQ(copy.find("piece"), std::nullopt);
  EXPECT_EQ(copy.find("another"), std::nullopt);
  EXPECT_EQ(vocabulary.find("another"), 1);
  EXPECT_EQ(copy.piece(1), nullptr);
}

TEST(Vocabulary, SaysWhatIsTaken) {
  Vocabulary vocabulary;
  vocabulary.add("the", 4, "x.json");
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { vocabulary.add("cat", 4, "x.json"); }),
            "x.json: tokens 'the' and 'cat' have the same id 4");
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { vocabulary.add("the", 5, "x.json"); }),
            "x.json: token 'the' has two ids, 4 and 5");
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { vocabulary.add("sat", -1, "x.json"); }),
            "x.json: token 'sat' has the id -1, expected 0 to 4194303");
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)vocabulary.piece(5); }),
            "token id 5 is outside the vocabulary, expected 0 to 4");
  EXPECT_EQ(vocabulary.size(), 5);
}

// All in one run of slots, which goes round the end of the array.
TEST(SlotTable, TellsEqualHashesApart) {
  SlotTable table;
  for (std::uint32_t place = 0; place < 100; ++place) table.add(0xFFFFFFFF, place);
  for (std::uint32_t wanted = 0; wanted < 100; ++wanted) {
    EXPECT_EQ(table.find(0xFFFFFFFF, [&](std::uint32_t place) { return place == wanted; }), wanted);
  }
  EXPECT_EQ(table.find(0xFFFFFFFF, [](std::uint32_t) { return false; }), SlotTable::kNone);
  EXPECT_EQ(table.find(5, [](std::uint32_t) { return true; }), SlotTable::kNone);
}

}  // namespace
}  // namespace lowbit
