#include "lowbit/calibration/histogram.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

at::Tensor random_values(std::uint64_t seed, int count) {
  const Random random(seed, "histogram");
  std::vector<float> values;
  for (int i = 0; i < count; ++i) {
    const double magnitude = std::pow(10.0, 8 * random.uniform(static_cast<std::uint64_t>(2 * i)) - 6);
    values.push_back(
        static_cast<float>(random.uniform(static_cast<std::uint64_t>(2 * i) + 1) < 0.5 ? -magnitude : magnitude));
  }
  return tensor_of(std::span<const float>(values));
}

TEST(Histogram, HasEveryNumberInABinThatLiesWithinAFifthOfAPercent) {
  for (const float value : {1.0F, -3.75F, 1e-20F, 6.1e4F, -0.1F}) {
    Histogram histogram;
    histogram.add(tensor_of(std::span<const float>(&value, 1)));
    const auto bins = histogram.bins();
    ASSERT_EQ(bins.size(), 1U);
    EXPECT_EQ(bins.front().count, 1);
    EXPECT_NEAR(bins.front().value, value, 0.002 * std::abs(value));
  }
}

TEST(Histogram, ListsItsBinsInRisingOrder) {
  Histogram histogram;
  histogram.add(random_values(1, 5000));
  const auto bins = histogram.bins();
  std::int64_t count = 0;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    count += bins[i].count;
    if (i > 0) {
      ASSERT_LT(bins[i - 1].value, bins[i].value);
    }
  }
  EXPECT_EQ(count, 5000);
}

TEST(Histogram, OfPartsAddsUpToThatOfTheWhole) {
  const at::Tensor values = random_values(2, 3000);
  Histogram whole, first, second;
  whole.add(values);
  first.add(values.narrow(0, 0, 1234));
  second.add(values.narrow(0, 1234, 3000 - 1234).contiguous());
  first.merge(second);
  const auto expected = whole.bins();
  const auto found = first.bins();
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].value, expected[i].value);
    EXPECT_EQ(found[i].count, expected[i].count);
  }
}

TEST(Histogram, TakesBothZerosForOne) {
  const std::vector<float> zeros = {0.0F, -0.0F};
  Histogram histogram;
  histogram.add(tensor_of(std::span<const float>(zeros)));
  ASSERT_EQ(histogram.bins().size(), 1U);
  EXPECT_EQ(histogram.bins().front().value, 0.0);
}

}  // namespace
}  // namespace lowbit
