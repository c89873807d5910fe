#include "lowbit/evaluation/statistics.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"

namespace lowbit {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

constexpr double kPi = std::numbers::pi;

// Integer parameters make it a binomial tail: I_x(a, b) = P(Bin(a + b - 1, x) >= a).
TEST(IncompleteBeta, EqualsItsClosedForms) {
  for (const double x : {0.0, 1e-6, 0.1, 0.3, 0.5, 0.77, 0.999, 1.0}) {
    EXPECT_NEAR(incomplete_beta(1, 4.5, x), 1 - std::pow(1 - x, 4.5), 1e-14) << x;
    EXPECT_NEAR(incomplete_beta(3.5, 1, x), std::pow(x, 3.5), 1e-14) << x;
    EXPECT_NEAR(incomplete_beta(0.5, 0.5, x), 2 / kPi * std::asin(std::sqrt(x)), 1e-14) << x;
    const double y = 1 - x;
    EXPECT_NEAR(incomplete_beta(2, 3, x), 6 * x * x * y * y + 4 * x * x * x * y + x * x * x * x, 1e-14) << x;
    EXPECT_NEAR(incomplete_beta(7.5, 0.25, x) + incomplete_beta(0.25, 7.5, y), 1, 1e-13) << x;
  }
}

// Student's t with 1, 2 and 4 degrees of freedom has elementary distributions.
TEST(StudentT, EqualsItsClosedForms) {
  for (const double t : {0.0, 0.01, 0.5, 1.0, 2.2, 7.0, 40.0}) {
    EXPECT_NEAR(student_t_two_sided_p(t, 1), 1 - 2 / kPi * std::atan(t), 1e-14) << t;
    EXPECT_NEAR(student_t_two_sided_p(-t, 2), 1 - t / std::sqrt(2 + t * t), 1e-14) << t;
    const double u = t / std::sqrt(4 + t * t);
    EXPECT_NEAR(student_t_two_sided_p(t, 4), 1 - u * (3 - u * u) / 2, 1e-14) << t;
  }
  // Relative accuracy far out: P(|T| >= t) with 2 degrees is 1 / t^2 to first order.
  EXPECT_NEAR(student_t_two_sided_p(1e6, 2) * 1e12, 1, 1e-9);
  EXPECT_EQ(student_t_two_sided_p(std::numeric_limits<double>::infinity(), 5), 0);
}

// With many degrees t is normal: erfc(t / sqrt 2), the next term of the expansion being phi(t) (t^3 + t) / (2 degrees).
TEST(StudentT, BecomesNormal) {
  for (const double t : {0.5, 1.96, 4.0}) {
    EXPECT_NEAR(student_t_two_sided_p(t, 1e6), std::erfc(t / std::sqrt(2.0)), 1e-6) << t;
  }
}

// Sums of binomial coefficients over 2^n.
TEST(McNemar, EqualsTheBinomialTail) {
  EXPECT_EQ(mcnemar_p(0, 0), 1);
  EXPECT_EQ(mcnemar_p(4, 4), 1);
  EXPECT_NEAR(mcnemar_p(3, 12), 2.0 * (1 + 15 + 105 + 455) / 32768, 1e-14);
  EXPECT_EQ(mcnemar_p(12, 3), mcnemar_p(3, 12));
  EXPECT_NEAR(mcnemar_p(0, 5), 2.0 / 32, 1e-15);
  EXPECT_NEAR(mcnemar_p(3, 4), 1, 1e-14);  // one more than half of the probability lies at or below 3 of 7
  EXPECT_NEAR(mcnemar_p(0, 1000) / std::exp2(-999), 1, 1e-10);
}

// 5 p / rank, and never more than what a larger p-value gets.
TEST(BenjaminiHochberg, StepsUpFromTheLargest) {
  EXPECT_THAT(benjamini_hochberg_adjust(std::vector{0.04, 0.001, 0.2, 0.03, 0.035}),
              ElementsAre(DoubleNear(0.05, 1e-15), DoubleNear(0.005, 1e-15), DoubleNear(0.2, 1e-15),
                          DoubleNear(0.05, 1e-15), DoubleNear(0.05, 1e-15)));
  EXPECT_THAT(benjamini_hochberg_adjust(std::vector{0.7}), ElementsAre(0.7));
  EXPECT_TRUE(benjamini_hochberg_adjust({}).empty());
}

TEST(StudentT, QuantileInvertsTheProbability) {
  EXPECT_NEAR(student_t_quantile(0.95, 1), std::tan(0.95 * kPi / 2), 1e-11);
  EXPECT_NEAR(student_t_quantile(0.95, 2), 0.95 * std::sqrt(2 / (1 - 0.95 * 0.95)), 1e-12);
  for (const double degrees : {3.0, 10.0, 165.0}) {
    for (const double level : {0.0, 0.5, 0.9, 0.95, 0.999}) {
      EXPECT_NEAR(student_t_two_sided_p(student_t_quantile(level, degrees), degrees), 1 - level, 1e-13);
    }
  }
  EXPECT_NEAR(student_t_quantile(0.95, 10), 2.228138852, 1e-9);  // any printed table
}

// 1, 2, 3, 6: mean 3, sample variance (4 + 1 + 0 + 9) / 3.
TEST(Means, HaveTheStandardErrorOfTheMean) {
  const std::vector<double> values = {1, 2, 3, 6};
  const MeanEstimate estimate = mean_of(values);
  EXPECT_DOUBLE_EQ(estimate.mean, 3);
  EXPECT_DOUBLE_EQ(estimate.standard_error, std::sqrt(14.0 / 3 / 4));
  EXPECT_EQ(estimate.n, 4);
  EXPECT_EQ(mean_of(std::vector<double>{5}).standard_error, 0);
}

TEST(Means, WeighUnitsByTheirSize) {
  const std::vector<double> values = {1, 4};
  const MeanEstimate estimate = weighted_mean_of(values, std::vector<double>{3, 1});
  EXPECT_DOUBLE_EQ(estimate.mean, 7.0 / 4);
  // sum w (x - mean) is 0, and each term 9/4: sqrt(2 * (81/16) * 2) / 4.
  EXPECT_DOUBLE_EQ(estimate.standard_error, std::sqrt(2 * 81.0 / 16 * 2) / 4);
  EXPECT_DOUBLE_EQ(weighted_mean_of(values, std::vector<double>{2, 2}).standard_error, mean_of(values).standard_error);
}

TEST(Means, RefuseWhatHasNoMean) {
  const std::vector<double> values = {1, 4};
  EXPECT_THROW((void)mean_of({}), Error);
  EXPECT_THROW((void)weighted_mean_of(values, std::vector<double>{1}), Error);
  EXPECT_THROW((void)weighted_mean_of(values, std::vector<double>{1, 0}), Error);
}

// Differences 1, 2, 3: mean 2, standard error sqrt(1/3), t = 2 sqrt 3 with 2 degrees: p = 1 - t / sqrt(2 + t^2).
TEST(PairedDifferences, AreAPairedTTest) {
  const PairedDifference difference =
      paired_difference(std::vector<double>{2, 4, 6}, std::vector<double>{1, 2, 3}, {}, 0.95);
  EXPECT_DOUBLE_EQ(difference.difference, 2);
  EXPECT_DOUBLE_EQ(difference.standard_error, std::sqrt(1.0 / 3));
  const double t = 2 * std::sqrt(3.0);
  EXPECT_NEAR(difference.p_value, 1 - t / std::sqrt(2 + t * t), 1e-14);
  const double half = 0.95 * std::sqrt(2 / (1 - 0.95 * 0.95)) * std::sqrt(1.0 / 3);
  EXPECT_NEAR(difference.low, 2 - half, 1e-12);
  EXPECT_NEAR(difference.high, 2 + half, 1e-12);
}

TEST(PairedDifferences, ChangeSignWithTheOrder) {
  const std::vector<double> a = {2, 4, 6, 9};
  const std::vector<double> b = {1, 5, 3, 3};
  const std::vector<double> w = {1, 2, 3, 4};
  const PairedDifference forward = paired_difference(a, b, w);
  const PairedDifference backward = paired_difference(b, a, w);
  EXPECT_DOUBLE_EQ(forward.difference, -backward.difference);
  EXPECT_DOUBLE_EQ(forward.p_value, backward.p_value);
  EXPECT_DOUBLE_EQ(forward.low, -backward.high);
}

TEST(PairedDifferences, OfEqualUnitsAreNoDifference) {
  const std::vector<double> a = {2, 4, 6};
  EXPECT_EQ(paired_difference(a, a, {}).p_value, 1);
  EXPECT_EQ(paired_difference(a, a, {}).low, 0);
}

TEST(PairedDifferences, OfOneUnitSayNothing) {
  const PairedDifference one = paired_difference(std::vector<double>{2}, std::vector<double>{1}, {});
  EXPECT_EQ(one.p_value, 1);
  EXPECT_EQ(one.high, std::numeric_limits<double>::infinity());
  EXPECT_EQ(equivalence_p(one, 100), 1);
  EXPECT_EQ(detectable_difference(one, 0.05), std::numeric_limits<double>::infinity());
}

// Under no difference p is uniform: of 2000 tests at 5 %, 100 with standard deviation sqrt(2000 * 0.05 * 0.95) = 9.7.
TEST(PairedDifferences, KeepTheirLevel) {
  const Random random(1, "level");
  int rejected = 0;
  for (std::uint64_t test = 0; test < 2000; ++test) {
    std::vector<double> a;
    std::vector<double> b;
    for (std::uint64_t i = 0; i < 6; ++i) {
      a.push_back(random.normal(test * 12 + 2 * i));
      b.push_back(random.normal(test * 12 + 2 * i + 1));
    }
    rejected += paired_difference(a, b, {}).p_value < 0.05 ? 1 : 0;
  }
  EXPECT_NEAR(rejected, 100, 5 * 9.7);
}

// 0.01 * 4, max(0.02 * 3), max(0.03 * 2), 0.5 * 1
TEST(Holm, StepsDown) {
  EXPECT_THAT(
      holm_adjust(std::vector<double>{0.03, 0.01, 0.5, 0.02}),
      ElementsAre(DoubleNear(0.06, 1e-15), DoubleNear(0.04, 1e-15), DoubleNear(0.5, 1e-15), DoubleNear(0.06, 1e-15)));
  EXPECT_THAT(holm_adjust(std::vector<double>{0.9, 0.8}), ElementsAre(1, 1));
  EXPECT_THAT(holm_adjust({}), ElementsAre());
}

TEST(Quantiles, InterpolateBetweenSortedValues) {
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0.9), 3.7);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0), 1);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 1), 4);
  EXPECT_DOUBLE_EQ(quantile({7}, 0.3), 7);
}

}  // namespace
}  // namespace lowbit
