#include "evaluation/logits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <thread>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/kernels/api.h"

namespace lowbit {
namespace {

// A float64 sum of V terms errs by V * 2^-53 at most; the vocabularies here are tiny.
constexpr double kTolerance = 1e-14;

std::vector<float> random_row(std::uint64_t seed, std::size_t size) {
  const Random random(seed, "row");
  std::vector<float> row;
  for (std::size_t i = 0; i < size; ++i) row.push_back(static_cast<float>(3 * random.normal(i)));
  return row;
}

TEST(RowScore, OfEqualLogitsIsTheUniformDistribution) {
  const std::vector<float> row(1000, 2.5F);
  EXPECT_NEAR(score_row(row, 17).log_likelihood, -std::log(1000.0), 1e-13);
  EXPECT_TRUE(score_row(row, 0).greedy);  // the first of equals
  EXPECT_FALSE(score_row(row, 1).greedy);
}

TEST(RowScore, OfTwoTokensIsTheLogistic) {
  const std::vector<float> row = {0.0F, 1.5F};
  EXPECT_NEAR(score_row(row, 1).log_likelihood, -std::log1p(std::exp(-1.5)), kTolerance);
  EXPECT_NEAR(score_row(row, 0).log_likelihood, -std::log1p(std::exp(1.5)), kTolerance);
}

TEST(RowScore, SurvivesLargeLogitsAndShowsDamagedOnes) {
  EXPECT_NEAR(score_row(std::vector<float>{3e38F, -3e38F}, 0).log_likelihood, 0, kTolerance);
  EXPECT_FALSE(
      std::isfinite(score_row(std::vector<float>{std::numeric_limits<float>::quiet_NaN(), 1}, 1).log_likelihood));
  EXPECT_FALSE(
      std::isfinite(score_row(std::vector<float>{1, std::numeric_limits<float>::quiet_NaN()}, 0).log_likelihood));
}

// A float64 sum of n terms errs by n 2^-53 relative, the exponentials by about 2^-52; the logarithm is below 10.
TEST(RowScore, EqualsItsDefinition) {
  for (const std::size_t size : {1, 63, 64, 65, 1000}) {
    const std::vector<float> row = random_row(size, size);
    long double sum = 0;
    for (const float logit : row) sum += std::exp(static_cast<long double>(logit));
    const auto target = static_cast<std::int64_t>(size / 2);
    const long double expected = row[size / 2] - std::log(sum);
    EXPECT_NEAR(score_row(row, target).log_likelihood, static_cast<double>(expected), 1000 * 0x1p-52) << size;
    const auto best = std::max_element(row.begin(), row.end()) - row.begin();
    EXPECT_TRUE(score_row(row, best).greedy) << size;
  }
}

TEST(RowScore, LeavesOutWhatIsExcluded) {
  std::vector<float> row(200, -std::numeric_limits<float>::infinity());
  row[70] = 2.0F;
  row[190] = 2.0F;
  EXPECT_NEAR(score_row(row, 190).log_likelihood, -std::log(2.0), kTolerance);
  EXPECT_TRUE(score_row(row, 70).greedy);
}

// Parts in another order, on several threads; two targets of a row.
TEST(RowScores, HaveTheBitsOfWholeRows) {
  for (const std::size_t width : {1, 64, 100, 1000}) {
    std::vector<std::vector<float>> rows;
    for (std::uint64_t i = 0; i < 5; ++i) rows.push_back(random_row(i, width));
    rows[4][width / 3] = std::numeric_limits<float>::quiet_NaN();
    const auto last = static_cast<std::int64_t>(width) - 1;
    RowScores scores(5, static_cast<std::int64_t>(width));
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      scores.want(static_cast<std::int64_t>(i), 0);
      scores.want(static_cast<std::int64_t>(i), last);
      threads.emplace_back([&scores, &rows, i, width] {
        const std::size_t parts = (width + kernels::kOutputPart - 1) / kernels::kOutputPart;
        for (std::size_t part = parts; part-- > 0;) {
          const std::size_t first = part * kernels::kOutputPart;
          scores.take(static_cast<std::int64_t>(i), static_cast<std::int64_t>(first),
                      std::span<const float>(rows[i]).subspan(
                          first, std::min<std::size_t>(kernels::kOutputPart, width - first)));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (const std::int64_t target : {std::int64_t{0}, last}) {
        const RowScore found = scores.score(static_cast<std::int64_t>(i), target);
        const RowScore expected = score_row(rows[i], target);
        if (i == 4) {
          EXPECT_FALSE(std::isfinite(found.log_likelihood)) << width;
          continue;
        }
        EXPECT_EQ(found.log_likelihood, expected.log_likelihood) << width;
        EXPECT_EQ(found.greedy, expected.greedy) << width;
      }
    }
  }
}

// p has logits (0, 1), q those of p at temperature 2: (0, 1/2). With s = e / (1 + e):
// KL = s (1 - 1/2) - ln(1 + e) + ln(1 + sqrt e).
TEST(RowDivergence, HasTheClosedFormOfTwoTokens) {
  const RowDivergence row = compare_rows(std::vector<float>{0, 1}, std::vector<float>{0, 0.5F}, 1);
  const double e = std::exp(1.0);
  const double root = std::exp(0.5);
  EXPECT_NEAR(row.kl, e / (1 + e) * 0.5 - std::log(1 + e) + std::log(1 + root), kTolerance);
  EXPECT_NEAR(row.delta_p, root / (1 + root) - e / (1 + e), kTolerance);
  EXPECT_NEAR(row.reference_log_likelihood, std::log(e / (1 + e)), kTolerance);
  EXPECT_TRUE(row.same_top);
  EXPECT_FALSE(compare_rows(std::vector<float>{0, 1}, std::vector<float>{1, 0}, 1).same_top);
}

TEST(RowDivergence, OfEqualRowsIsExactlyZero) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> row = random_row(seed, 500);
    const RowDivergence result = compare_rows(row, row, 3);
    EXPECT_EQ(result.kl, 0);
    EXPECT_EQ(result.delta_p, 0);
    EXPECT_TRUE(result.same_top);
    EXPECT_EQ(result.reference_log_likelihood, score_row(row, 3).log_likelihood);
  }
}

TEST(RowDivergence, DoesNotSeeAConstantAddedToTheLogits) {
  const std::vector<float> p = random_row(1, 500);
  std::vector<float> q = p;
  for (float& value : q) value = value + 64.0F;
  // Adding 64 rounds to multiples of 2^-17: a logit moves by 2^-18, and KL by about the square of that.
  EXPECT_NEAR(compare_rows(p, q, 3).kl, 0, 1e-10);
  EXPECT_EQ(compare_rows(q, q, 3).kl, 0);
}

TEST(RowDivergence, EqualsItsDefinitionAndIsNeverNegative) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> p = random_row(seed, 300);
    const std::vector<float> q = random_row(1000 + seed, 300);
    double expected = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double a = score_row(p, static_cast<std::int64_t>(i)).log_likelihood;
      expected += std::exp(a) * (a - score_row(q, static_cast<std::int64_t>(i)).log_likelihood);
    }
    EXPECT_NEAR(compare_rows(p, q, 0).kl, expected, 300 * 30 * 2.3e-16);
    EXPECT_GE(expected, 0);
  }
}

TEST(RowDivergence, LetsPExcludeATokenThatQAllows) {
  const float lowest = -std::numeric_limits<float>::infinity();
  EXPECT_NEAR(compare_rows(std::vector<float>{0, lowest}, std::vector<float>{0, 0}, 0).kl, std::log(2.0), kTolerance);
}

}  // namespace
}  // namespace lowbit
