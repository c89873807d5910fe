#include "evaluation/changed_answers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/random.h"

namespace lowbit {
namespace {

/// Differences of `n` questions, of which some were gained and some lost.
PairedSample answers(std::int64_t n, std::int64_t gained, std::int64_t lost) {
  PairedSample sample{
      .differences = {std::vector<double>(static_cast<std::size_t>(n), 0.0)}, .weights = {}, .answers = true};
  for (std::int64_t i = 0; i < gained + lost; ++i) {
    sample.differences[0][static_cast<std::size_t>(i)] = i < gained ? 1 : -1;
  }
  return sample;
}

/// The score of a difference with the probability of a loss that maximizes the multinomial likelihood, by search.
double searched_score(const ChangedAnswers& changed, double difference) {
  const auto n = static_cast<double>(changed.n);
  const auto gained = static_cast<double>(changed.gained);
  const auto lost = static_cast<double>(changed.lost);
  const auto term = [](double count, double p) { return count == 0 ? 0.0 : count * std::log(p); };
  const auto likelihood = [&](double q) {
    return term(gained, q + difference) + term(lost, q) + term(n - gained - lost, 1 - 2 * q - difference);
  };
  double low = std::max(0.0, -difference);
  double high = (1 - difference) / 2;
  for (int i = 0; i < 300; ++i) {
    const double left = low + (high - low) / 3;
    const double right = high - (high - low) / 3;
    (likelihood(left) < likelihood(right) ? low : high) = likelihood(left) < likelihood(right) ? left : right;
  }
  return (gained - lost - n * difference) / std::sqrt(n * (2 * low + difference - difference * difference));
}

// Ternary search near a flat maximum knows q to about 1e-8, the score to about 1e-6.
TEST(ScoreInterval, EndsWhereTheScoreOfTheLikelihoodIsTheQuantile) {
  for (const ChangedAnswers& changed : {ChangedAnswers{21, 1, 7}, ChangedAnswers{100, 9, 4}, ChangedAnswers{30, 0, 5},
                                        ChangedAnswers{40, 0, 0}, ChangedAnswers{12, 6, 6}}) {
    const ScoreInterval interval = score_interval(changed, 0.95);
    EXPECT_NEAR(searched_score(changed, interval.low), 1.959964, 2e-5) << changed.gained << " " << changed.lost;
    EXPECT_NEAR(searched_score(changed, interval.high), -1.959964, 2e-5) << changed.gained << " " << changed.lost;
  }
}

// Without a change the score is that of one proportion: -n d / sqrt(n d (1 - d)) = z at d = z^2 / (n + z^2).
TEST(ScoreInterval, HasAWidthWhereNoAnswerChanged) {
  const double square = 1.959963984540054 * 1.959963984540054;
  const ScoreInterval interval = score_interval({.n = 50, .gained = 0, .lost = 0}, 0.95);
  EXPECT_NEAR(interval.high, square / (50 + square), 1e-9);
  EXPECT_NEAR(interval.low, -interval.high, 1e-12);
}

TEST(ScoreInterval, TurnsWithTheSides) {
  const ScoreInterval interval = score_interval({.n = 60, .gained = 7, .lost = 2}, 0.9);
  const ScoreInterval other = score_interval({.n = 60, .gained = 2, .lost = 7}, 0.9);
  EXPECT_NEAR(interval.low, -other.high, 1e-12);
  EXPECT_NEAR(interval.high, -other.low, 1e-12);
}

TEST(ChangedAnswers, AreThoseOfOneCheckpointAndEqualWeights) {
  const auto changed = changed_answers(answers(10, 3, 1));
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->n, 10);
  EXPECT_EQ(changed->gained, 3);
  EXPECT_EQ(changed->lost, 1);
  PairedSample two = answers(10, 3, 1);
  two.differences.push_back(two.differences[0]);
  EXPECT_FALSE(changed_answers(two));
  PairedSample weighted = answers(2, 1, 0);
  weighted.weights = {1, 2};
  EXPECT_FALSE(changed_answers(weighted));
  PairedSample losses = answers(2, 1, 0);
  losses.answers = false;
  EXPECT_FALSE(changed_answers(losses));
}

TEST(PairedDifferences, OfAnswersAreExact) {
  const PairedDifference difference = paired_difference(answers(40, 1, 5));
  EXPECT_DOUBLE_EQ(difference.difference, -0.1);
  EXPECT_DOUBLE_EQ(difference.p_value, 14.0 / 64);  // 2 (1 + 6) / 2^6
  EXPECT_DOUBLE_EQ(difference.least_p(), 2.0 / 64);
  EXPECT_DOUBLE_EQ(difference.low, score_interval({40, 1, 5}, 0.95).low);
  EXPECT_EQ(paired_difference(answers(40, 0, 0)).p_value, 1);
  EXPECT_EQ(paired_difference(answers(40, 0, 0)).least_p(), 1);
}

// Ten questions without a change say little: a difference of 0.2 would leave them so once in nine times.
TEST(EquivalenceP, OfAnswersIsNotWonByHavingFew) {
  EXPECT_GT(equivalence_p(paired_difference(answers(10, 0, 0)), 0.2), 0.05);
  EXPECT_LT(equivalence_p(paired_difference(answers(200, 0, 0)), 0.2), 0.001);
  EXPECT_GT(detectable_difference(paired_difference(answers(10, 0, 0)), 0.05), 0.1);
}

// Nor do more checkpoints without a change make more of ten questions.
TEST(EquivalenceP, OfAnswersIsNotWonByHavingFewUnderSeveralSeeds) {
  for (const std::size_t seeds : {2U, 5U}) {
    PairedSample sample = answers(10, 0, 0);
    sample.differences.resize(seeds, sample.differences[0]);
    const PairedDifference difference = paired_difference(sample);
    EXPECT_GT(equivalence_p(difference, 0.2), 0.05);
    EXPECT_DOUBLE_EQ(difference.high, score_interval({10, 0, 0}, 0.95).high);
    EXPECT_GT(detectable_difference(difference, 0.05), 0.1);
    EXPECT_EQ(difference.p_value, 1);
    EXPECT_EQ(difference.seeds, static_cast<std::int64_t>(seeds));
    sample.differences[1][0] = 1;
    EXPECT_FALSE(changed_answers(sample));
  }
}

struct Shares {
  std::int64_t n;
  double gained;
  double lost;
};

template <typename Claim>
double percentage(const Shares& truth, int experiments, Claim claim) {
  int count = 0;
  const Random random(11, "answers");
  std::uint64_t counter = 0;
  for (int e = 0; e < experiments; ++e) {
    std::int64_t gained = 0;
    std::int64_t lost = 0;
    for (std::int64_t i = 0; i < truth.n; ++i) {
      const double place = random.uniform(counter++);
      if (place < truth.gained) ++gained;
      if (place >= truth.gained && place < truth.gained + truth.lost) ++lost;
    }
    if (claim(answers(truth.n, gained, lost))) ++count;
  }
  return 100.0 * count / experiments;
}

/// The t interval of the same differences.
PairedDifference by_t(PairedSample sample) {
  sample.answers = false;
  return paired_difference(sample);
}

// docs/statistics.md has the table. 4000 experiments: one standard deviation near 95 % is 0.34.
TEST(PairedDifferences, OfAnswersCoverTheTruthWhereTIntervalsDoNot) {
  for (const Shares& truth : {Shares{30, 0.01, 0.04}, Shares{100, 0.005, 0.02}, Shares{100, 0.02, 0.05},
                              Shares{300, 0.03, 0.05}, Shares{100, 0.15, 0.15}}) {
    const double mean = truth.gained - truth.lost;
    const auto covers = [&](const PairedDifference& d) { return d.low <= mean && mean <= d.high; };
    const double exact = percentage(truth, 4000, [&](const PairedSample& s) { return covers(paired_difference(s)); });
    const double t = percentage(truth, 4000, [&](const PairedSample& s) { return covers(by_t(s)); });
    EXPECT_GE(exact, 93) << truth.n << " " << truth.lost;
    if (truth.lost * static_cast<double>(truth.n) <= 2) {
      EXPECT_LE(t, 90) << truth.n << " " << truth.lost;
    }
  }
}

// An exact test never errs more often than it says; with few changes it errs less often.
TEST(PairedDifferences, OfAnswersHaveTheirSizeAndPower) {
  const auto found = [](const PairedSample& s) { return paired_difference(s).p_value < 0.05; };
  for (const Shares& truth : {Shares{50, 0.02, 0.02}, Shares{100, 0.1, 0.1}, Shares{400, 0.05, 0.05}}) {
    EXPECT_LE(percentage(truth, 2000, found), 5 + 4 * 0.49) << truth.n;
  }
  EXPECT_GE(percentage({400, 0.02, 0.08}, 2000, found), 80);
  const auto equivalent = [](const PairedSample& s) { return equivalence_p(paired_difference(s), 0.05) < 0.05; };
  EXPECT_LE(percentage({200, 0.0, 0.05}, 2000, equivalent), 5 + 4 * 0.49);
  EXPECT_GE(percentage({400, 0.02, 0.02}, 2000, equivalent), 95);
}

}  // namespace
}  // namespace lowbit
