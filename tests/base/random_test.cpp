#include "lowbit/base/random.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <set>

#include "base/philox.h"
#include "lowbit/base/hash.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using Words = std::array<std::uint32_t, 4>;

// The known answers for philox4x32 with 10 rounds in the file kat_vectors of Random123 1.14.
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32_10({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, IsPhiloxOfCounterStreamAndSeed) {
  const std::uint64_t seed = 0x0123456789abcdef;
  const std::uint64_t counter = 0xfedcba9876543210;
  const std::uint64_t stream = hash_of(std::string_view("data")).low;
  const Words words = philox4x32_10(
      {0x76543210, 0xfedcba98, static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)},
      {0x89abcdef, 0x01234567});
  EXPECT_EQ(Random(seed, "data").bits(counter), (std::uint64_t{words[0]} << 32) | words[1]);
}

TEST(Random, DependsOnSeedStreamAndCounterOnly) {
  const Random random(1, "a");
  std::set<std::uint64_t> draws;
  for (std::uint64_t n = 0; n < 1000; ++n) draws.insert(random.bits(n));
  for (const Random& other : {Random(2, "a"), Random(1, "b"), random.child("x"), random.child("y"),
                              random.child("x").child("y"), random.child("xy")}) {
    for (std::uint64_t n = 0; n < 1000; ++n) draws.insert(other.bits(n));
  }
  EXPECT_EQ(draws.size(), 7000U);  // a collision has a probability of 7000^2 / 2^65 < 10^-11
  EXPECT_EQ(Random(1, "a").bits(5), random.bits(5));
  EXPECT_EQ(Random(1, "a").child("x").bits(5), random.child("x").bits(5));
}

TEST(RandomBelow, FavoursNoValue) {
  // 2^64 mod 3 * 2^62 = 2^62: a plain remainder would give the lowest third half of the draws.
  const Random random(7, "below");
  constexpr std::uint64_t kThird = std::uint64_t{1} << 62;
  constexpr int kDraws = 30'000;
  std::array<int, 3> counts{};
  for (std::uint64_t n = 0; n < kDraws; ++n) {
    const std::uint64_t draw = random.below(n, 3 * kThird);
    ASSERT_LT(draw, 3 * kThird);
    ++counts[draw / kThird];
  }
  // Five standard deviations of a binomial with p = 1/3: 5 sqrt(30000 * 2 / 9) = 408.
  for (const int count : counts) EXPECT_NEAR(count, kDraws / 3, 408);
}

TEST(RandomBelow, SpreadsOverSmallBounds) {
  const Random random(7, "small");
  for (const std::uint64_t bound : {1, 2, 3, 10}) {
    std::array<int, 10> counts{};
    constexpr int kDraws = 100'000;
    for (std::uint64_t n = 0; n < kDraws; ++n) ++counts.at(random.below(n, bound));
    const double expected = static_cast<double>(kDraws) / static_cast<double>(bound);
    double chi_squared = 0;
    for (std::size_t i = 0; i < bound; ++i) chi_squared += (counts[i] - expected) * (counts[i] - expected) / expected;
    EXPECT_LT(chi_squared, 27.9) << bound;  // the 99.9 % point for 9 degrees of freedom, above those for fewer
  }
}

TEST(RandomBelow, ReachesTheEndsOfTheWidestBound) {
  const Random random(3, "wide");
  for (std::uint64_t n = 0; n < 1000; ++n) EXPECT_LT(random.below(n, ~std::uint64_t{0}), ~std::uint64_t{0});
  EXPECT_NE(testing::error_text(ErrorCode::kInternal, [&] { (void)random.below(0, 0); }).find("bound > 0"),
            std::string::npos);
}

TEST(RandomUniform, IsUniform) {
  const Random random(11, "uniform");
  constexpr int kDraws = 100'000;
  double sum = 0;
  for (std::uint64_t n = 0; n < kDraws; ++n) {
    const double draw = random.uniform(n);
    ASSERT_GE(draw, 0.0);
    ASSERT_LT(draw, 1.0);
    sum += draw;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 5.0 * std::sqrt(1.0 / 12.0 / kDraws));  // five standard errors
}

TEST(RandomNormal, HasMeanZeroAndVarianceOne) {
  const Random random(11, "normal");
  constexpr int kDraws = 100'000;
  double sum = 0;
  double squares = 0;
  int beyond_two = 0;
  for (std::uint64_t n = 0; n < kDraws; ++n) {
    const double draw = random.normal(n);
    ASSERT_TRUE(std::isfinite(draw));
    sum += draw;
    squares += draw * draw;
    if (std::abs(draw) > 2.0) ++beyond_two;
  }
  // Five standard errors each; the variance of a squared normal is 2, P(|x| > 2) = erfc(sqrt(2)) = 0.0455.
  EXPECT_NEAR(sum / kDraws, 0.0, 5.0 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0, 5.0 * std::sqrt(2.0 / kDraws));
  const double tail = std::erfc(std::sqrt(2.0));
  EXPECT_NEAR(static_cast<double>(beyond_two) / kDraws, tail, 5.0 * std::sqrt(tail * (1 - tail) / kDraws));
}

}  // namespace
}  // namespace lowbit
