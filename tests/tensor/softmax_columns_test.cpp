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

class SoftmaxColumns : public ::testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    if (GetParam() >= panel_kernels().size()) GTEST_SKIP() << "this build has no such kernel";
    kernel_ = &panel_kernels()[GetParam()];
    if (!kernel_->missing.empty()) GTEST_SKIP() << kernel_->name << ": " << kernel_->missing;
  }
  const PanelKernel* kernel_ = nullptr;
};

AlignedBuffer drawn_scores(std::int64_t count) {
  const Random random(5, "scores");
  AlignedBuffer scores(count);
  for (std::int64_t i = 0; i < count; ++i) {
    scores.data()[i] = static_cast<float>(40 * random.normal(static_cast<std::uint64_t>(i)));
  }
  return scores;
}

// The second sixteen of 32 columns.
TEST_P(SoftmaxColumns, AreTheExponentialsAndTheirSumsInOrder) {
  constexpr std::int64_t kStride = 2 * kColumns;
  for (const std::int64_t rows : {1, 7, 300}) {
    const AlignedBuffer scores = drawn_scores(rows * kStride);
    const AlignedBuffer shares = drawn_scores(rows * kStride);
    float sums[kColumns];
    kernel_->softmax_columns(shares.data() + kColumns, rows, kStride, 0.125F, sums);
    for (std::int64_t column = 0; column < kColumns; ++column) {
      const float* score = scores.data() + kColumns + column;
      float largest = *score;
      for (std::int64_t row = 0; row < rows; ++row) largest = std::max(largest, score[row * kStride]);
      float sum = 0;
      for (std::int64_t row = 0; row < rows; ++row) {
        const float share = shares.data()[row * kStride + kColumns + column];
        const float difference = (score[row * kStride] - largest) * 0.125F;
        const double expected = std::exp(static_cast<double>(difference));
        // The polynomial and five roundings.
        EXPECT_NEAR(share, expected, 6 * expected / (1 << 24)) << difference;
        EXPECT_EQ(shares.data()[row * kStride + column], scores.data()[row * kStride + column]);
        sum += share;
      }
      EXPECT_EQ(sums[column], sum);
    }
  }
}

TEST_P(SoftmaxColumns, AreTheBitsOfTheSlowestKernel) {
  constexpr std::int64_t kRows = 300;
  const AlignedBuffer shares = drawn_scores(kRows * kColumns);
  const AlignedBuffer expected = drawn_scores(kRows * kColumns);
  float sums[kColumns];
  float expected_sums[kColumns];
  kernel_->softmax_columns(shares.data(), kRows, kColumns, 0.7F, sums);
  panel_kernels().front().softmax_columns(expected.data(), kRows, kColumns, 0.7F, expected_sums);
  EXPECT_TRUE(std::equal(sums, sums + kColumns, expected_sums));
  EXPECT_TRUE(std::equal(shares.data(), shares.data() + kRows * kColumns, expected.data()));
}

TEST_P(SoftmaxColumns, HideMinusInfinityAndShowDamage) {
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  const AlignedBuffer scores(3 * kColumns);
  std::fill_n(scores.data(), 3 * kColumns, 1.0F);
  scores.data()[kColumns] = kHidden;
  scores.data()[kColumns + 1] = std::nanf("");
  float sums[kColumns];
  kernel_->softmax_columns(scores.data(), 3, kColumns, 2.0F, sums);
  EXPECT_EQ(scores.data()[kColumns], 0.0F);
  EXPECT_EQ(sums[0], 2.0F);
  EXPECT_TRUE(std::isnan(sums[1]));
  EXPECT_EQ(sums[2], 3.0F);
}

INSTANTIATE_TEST_SUITE_P(FromTheSlowest, SoftmaxColumns, ::testing::Values(0, 1));

}  // namespace
}  // namespace lowbit
