#include "model/side_by_side.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/tensor/parallel.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

TEST(SideBySide, TakesAsManyBlocksAsOneLargeOneHolds) {
  EXPECT_EQ(blocks_side_by_side(std::int64_t{1} << 23, 16), 4);
  EXPECT_EQ(blocks_side_by_side(std::int64_t{1} << 23, 2), 2);
  EXPECT_EQ(blocks_side_by_side(std::int64_t{1} << 25, 16), 1);
  EXPECT_EQ(blocks_side_by_side(std::int64_t{1} << 30, 16), 1);
}

TEST(SideBySide, DoesEachBlockOnce) {
  set_thread_count(3);
  for (const std::int64_t at_once : {1, 2, 3, 8}) {
    std::vector<std::atomic<int>> done(17);
    for_each_block(17, at_once, [&](std::int64_t index) { ++done[static_cast<std::size_t>(index)]; });
    for (const auto& times : done) EXPECT_EQ(times, 1);
  }
  for_each_block(0, 3, [](std::int64_t) { FAIL(); });
}

TEST(SideBySide, EndsAllAtTheFirstFailure) {
  set_thread_count(2);
  for (const std::int64_t at_once : {1, 2}) {
    std::atomic<int> begun{0};
    const auto text = testing::error_text(ErrorCode::kData, [&] {
      for_each_block(100000, at_once, [&](std::int64_t index) {
        ++begun;
        if (index == 3) fail(ErrorCode::kData, "block {}", index);
      });
    });
    EXPECT_EQ(text, "block 3");
    EXPECT_LT(begun, 100000);
  }
}

}  // namespace
}  // namespace lowbit
