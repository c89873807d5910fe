#include "quantization/transforms/race.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

namespace lowbit {
namespace {

using Losses = std::vector<std::vector<double>>;  // of each candidate, part by part

struct Outcome {
  std::size_t winner;
  std::size_t asked;
};

Outcome race(const Losses& losses, double give_up, const std::vector<std::size_t>& order) {
  Race race(losses[0].size(), give_up);
  Outcome outcome{0, 0};
  for (const std::size_t index : order) {
    race.enter(index, [&](std::size_t part) {
      ++outcome.asked;
      return losses[index][part];
    });
  }
  outcome.winner = race.winner();
  return outcome;
}

TEST(Race, FindsTheLeastSumInAnyOrderWhenNobodyIsGivenUpForBeingBehind) {
  std::mt19937 random(3);
  std::uniform_int_distribution<int> digit(0, 9);
  for (int trial = 0; trial < 200; ++trial) {
    Losses losses(7, std::vector<double>(4));
    std::vector<double> sums;
    for (auto& parts : losses) {
      for (double& part : parts) part = digit(random);
      sums.push_back(std::accumulate(parts.begin(), parts.end(), 0.0));
    }
    std::vector<std::size_t> order(losses.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::shuffle(order.begin(), order.end(), random);
    const auto least = std::min_element(sums.begin(), sums.end()) - sums.begin();  // the first of equals
    // A part may be 0, of which no share is anything: add 1 to all.
    for (auto& parts : losses) parts[0] += 1;
    EXPECT_EQ(race(losses, 1e6, order).winner, static_cast<std::size_t>(least));
  }
}

TEST(Race, GivesUpWhoeverIsBehindOnTheSamePartsByMoreThanTheShare) {
  // 1 and 2 would both win in the end: 1 is 9 % behind after its first part, 2 is 11 %.
  const Losses losses{{100, 100}, {109, 0}, {111, -20}};
  EXPECT_EQ(race({losses[0], losses[1]}, 0.1, {0, 1}).winner, 1U);
  const Outcome behind = race({losses[0], losses[2]}, 0.1, {0, 1});
  EXPECT_EQ(behind.winner, 0U);
  EXPECT_EQ(behind.asked, 3U);
  EXPECT_EQ(race({losses[0], losses[2]}, 0.2, {0, 1}).winner, 1U);
}

TEST(Race, AsksNoFurtherPartOfOneThatCannotWin) { EXPECT_EQ(race({{1, 1, 1}, {4, 0, 0}}, 1e6, {0, 1}).asked, 4U); }

TEST(Race, LetsNoLossThatIsNotANumberWin) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(race({{nan, 1}, {5, 5}}, 0.1, {0, 1}).winner, 1U);
  EXPECT_EQ(race({{5, 5}, {1, nan}}, 0.1, {0, 1}).winner, 0U);
  EXPECT_EQ(race({{nan, nan}, {nan, nan}}, 0.1, {1, 0}).winner, 0U);
}

}  // namespace
}  // namespace lowbit
