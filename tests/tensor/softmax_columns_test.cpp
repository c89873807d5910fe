#include "tensor/softmax_columns.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "lowbit/base/random.h"
#include "tensor/aligned_buffer.h"
#include "tensor/float_panels.h"

namespace lowbit {
namespace {

constexpr std::int64_t kColumns = 16;

TEST(SoftmaxColumns, AreTheExponentialsAndTheirSumsInOrder) {
  if (!float_panels_available()) GTEST_SKIP() << "the processor lacks AVX2";
  const Random random(5, "scores");
  for (const std::int64_t rows : {1, 7, 300}) {
    const AlignedBuffer scores(rows * kColumns);
    for (std::int64_t i = 0; i < rows * kColumns; ++i) {
      scores.data()[i] = static_cast<float>(40 * random.normal(static_cast<std::uint64_t>(i)));
    }
    const AlignedBuffer shares(rows * kColumns);
    std::copy_n(scores.data(), rows * kColumns, shares.data());
    float sums[kColumns];
    softmax_columns(shares.data(), rows, 0.125F, sums);
    for (std::int64_t column = 0; column < kColumns; ++column) {
      float largest = scores.data()[column];
      for (std::int64_t row = 0; row < rows; ++row) largest = std::max(largest, scores.data()[row * kColumns + column]);
      float sum = 0;
      for (std::int64_t row = 0; row < rows; ++row) {
        const float share = shares.data()[row * kColumns + column];
        const float difference = (scores.data()[row * kColumns + column] - largest) * 0.125F;
        const double expected = std::exp(static_cast<double>(difference));
        // The polynomial and five roundings.
        EXPECT_NEAR(share, expected, 6 * expected / (1 << 24)) << difference;
        sum += share;
      }
      EXPECT_EQ(sums[column], sum);
    }
  }
}

TEST(SoftmaxColumns, HideMinusInfinityAndShowDamage) {
  if (!float_panels_available()) GTEST_SKIP() << "the processor lacks AVX2";
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  const AlignedBuffer scores(3 * kColumns);
  std::fill_n(scores.data(), 3 * kColumns, 1.0F);
  scores.data()[kColumns] = kHidden;
  scores.data()[kColumns + 1] = std::nanf("");
  float sums[kColumns];
  softmax_columns(scores.data(), 3, 2.0F, sums);
  EXPECT_EQ(scores.data()[kColumns], 0.0F);
  EXPECT_EQ(sums[0], 2.0F);
  EXPECT_TRUE(std::isnan(sums[1]));
  EXPECT_EQ(sums[2], 3.0F);
}

}  // namespace
}  // namespace lowbit
