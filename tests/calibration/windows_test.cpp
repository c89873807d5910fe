#include "calibration/windows.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

namespace lowbit {
namespace {

TEST(DisjointWindows, NeverOverlapAndStayInside) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto offsets = draw_disjoint_windows(103, 10, 10, Random(seed, "test"));
    ASSERT_EQ(offsets.size(), 10U);
    EXPECT_GE(offsets.front(), 0);
    EXPECT_LE(offsets.back(), 93);
    for (std::size_t i = 1; i < offsets.size(); ++i) EXPECT_GE(offsets[i] - offsets[i - 1], 10);
  }
}

TEST(DisjointWindows, FillACorpusThatHasNoRoomToSpare) {
  EXPECT_THAT(draw_disjoint_windows(30, 10, 3, Random(1, "test")), ::testing::ElementsAre(0, 10, 20));
}

// 2 windows of 2 among 5 tokens: (0,2), (0,3), (1,3). Each of 3 is drawn with p = 1/3; over 3000 draws the standard
// deviation of a count is sqrt(3000 * 2/9) = 26, so that 6 of them is never left by chance.
TEST(DisjointWindows, DrawEveryPlacementEquallyOften) {
  std::map<std::vector<std::int64_t>, int> counts;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) ++counts[draw_disjoint_windows(5, 2, 2, Random(seed, "test"))];
  ASSERT_EQ(counts.size(), 3U);
  for (const auto& [offsets, count] : counts) EXPECT_NEAR(count, 1000, 6 * 26);
}

TEST(Order, IsAPermutationAndDependsOnTheSeed) {
  const auto order = draw_order(50, Random(3, "test"));
  EXPECT_TRUE(std::is_permutation(order.begin(), order.end(), draw_order(50, Random(4, "test")).begin()));
  EXPECT_NE(order, draw_order(50, Random(4, "test")));
  EXPECT_EQ(order, draw_order(50, Random(3, "test")));
}

}  // namespace
}  // namespace lowbit
