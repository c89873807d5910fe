#include "evaluation/choice_metrics.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "support/error_text.h"

namespace lowbit {
namespace {

ScoredChoices question(std::vector<double> log_likelihoods, std::vector<double> lengths, std::size_t gold) {
  ScoredChoices result;
  result.characters = lengths;
  for (double& length : lengths) length *= 2;  // two bytes a character
  result.bytes = lengths;
  result.greedy.resize(log_likelihoods.size());
  result.log_likelihoods = std::move(log_likelihoods);
  result.gold = {gold};
  return result;
}

TEST(ChoiceMetrics, NormalizeByTheLengthOfTheAnswer) {
  // -4 over 2 characters is less likely a character than -5 over 10.
  const ScoredChoices q = question({-4, -5}, {2, 10}, 1);
  EXPECT_EQ(question_score(q, "acc"), 0);
  EXPECT_EQ(question_score(q, "acc_norm"), 1);
  EXPECT_EQ(question_score(q, "acc_bytes"), 1);
}

TEST(ChoiceMetrics, CountBytesNotCharacters) {
  ScoredChoices q = question({-6, -4}, {2, 1}, 0);
  q.bytes = {2, 3};
  EXPECT_EQ(question_score(q, "acc_norm"), 1);
  EXPECT_EQ(question_score(q, "acc_bytes"), 0);
}

TEST(ChoiceMetrics, TakeTheUnconditionalLikelihoodOff) {
  ScoredChoices q = question({-2, -3}, {1, 1}, 1);
  q.unconditional = {-1, -5};
  EXPECT_EQ(question_score(q, "acc"), 0);
  EXPECT_EQ(question_score(q, "acc_mutual_info"), 1);
}

TEST(ChoiceMetrics, BreakTiesByTheFirst) {
  EXPECT_EQ(question_score(question({-1, -1}, {1, 1}, 0), "acc"), 1);
  EXPECT_EQ(question_score(question({-1, -1}, {1, 1}, 1), "acc"), 0);
}

TEST(ChoiceMetrics, MoveWithTheChoices) {
  for (const char* metric : {"acc", "acc_norm", "brier_score", "mc2", "mrr", "r@2"}) {
    EXPECT_DOUBLE_EQ(question_score(question({-1, -2.5, -3}, {3, 2, 9}, 1), metric),
                     question_score(question({-3, -1, -2.5}, {9, 3, 2}, 2), metric))
        << metric;
  }
}

TEST(ChoiceMetrics, ScoreProbabilities) {
  // e^0 : e^ln3 = 1/4 : 3/4
  ScoredChoices q = question({-100, -100 + std::log(3.0)}, {1, 1}, 1);
  EXPECT_NEAR(question_score(q, "brier_score"), 2.0 / 16, 1e-12);
  EXPECT_NEAR(question_score(q, "mc2"), 0.75, 1e-12);
  q.gold = {0, 1};
  EXPECT_NEAR(question_score(q, "mc2"), 1.0, 1e-12);
}

TEST(ChoiceMetrics, RankTheRightAnswer) {
  EXPECT_DOUBLE_EQ(question_score(question({-3, -1, -2}, {1, 1, 1}, 0), "mrr"), 1.0 / 3);
  EXPECT_EQ(question_score(question({-3, -1, -2}, {1, 1, 1}, 2), "r@2"), 1);
  EXPECT_EQ(question_score(question({-3, -1, -2}, {1, 1, 1}, 0), "r@2"), 0);
  EXPECT_EQ(question_score(question({-1, -1, -1}, {1, 1, 1}, 2), "r@1"), 1);  // equal ones share the first place
}

// Against the definition, by sorting: |right choices among the first k| / |right choices|.
TEST(ChoiceMetrics, RecallWhatStandsAmongTheFirst) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const std::size_t choices = 1 + random() % 12;
    ScoredChoices q = question({}, std::vector<double>(choices, 1.0), 0);
    q.gold.clear();
    std::vector<std::pair<double, bool>> sorted;  // loss, right
    for (std::size_t i = 0; i < choices; ++i) {
      // Different ones, so that the order is one.
      q.log_likelihoods.push_back(-static_cast<double>(random() % 1000) - static_cast<double>(i) / 100);
      const bool right = random() % 3 == 0 || (i + 1 == choices && q.gold.empty());
      if (right) q.gold.push_back(i);
      sorted.emplace_back(-q.log_likelihoods.back(), right);
    }
    std::sort(sorted.begin(), sorted.end());
    double found = 0;
    for (std::size_t k = 1; k <= choices + 2; ++k) {
      if (k <= choices && sorted[k - 1].second) ++found;
      EXPECT_DOUBLE_EQ(question_score(q, fmt::format("r@{}", k)), found / static_cast<double>(q.gold.size()));
    }
  }
}

TEST(ChoiceMetrics, NameRecallByItsDepth) {
  EXPECT_EQ(recall_depth("r@12"), 12U);
  for (const char* other : {"r@", "r@0", "r@02", "r@-1", "r@2x", "r@99999999999999999999", "mrr"}) {
    EXPECT_FALSE(recall_depth(other)) << other;
  }
  EXPECT_FALSE(metric_mistake("r@5", false));
  EXPECT_EQ(metric_mistake("r@x", false), "unknown metric 'r@x'; did you mean 'r@1'?");
  EXPECT_TRUE(metric_mistake("r@5", true));
}

// Answers 1 1 0 1 0 where 1 0 0 1 1 is right: true positives 2, false positives 1, false negatives 1, true negatives 1.
std::vector<ScoredChoices> five() {
  std::vector<ScoredChoices> all;
  const std::size_t given[] = {1, 1, 0, 1, 0};
  const std::size_t right[] = {1, 0, 0, 1, 1};
  for (int i = 0; i < 5; ++i) {
    all.push_back(
        question(given[i] == 1 ? std::vector<double>{-2, -1} : std::vector<double>{-1, -2}, {1, 1}, right[i]));
  }
  return all;
}

TEST(ChoiceMetrics, CorrelateAnswersWithClasses) {
  EXPECT_NEAR(choice_metric(five(), "f1").value, 2.0 / 3, 1e-12);
  // (2*1 - 1*1) / sqrt(3*3*2*2)
  EXPECT_NEAR(choice_metric(five(), "mcc").value, 1.0 / 6, 1e-12);
  EXPECT_TRUE(choice_metric(five(), "mcc").standard_error.has_value());
  // Of choice 0: 1 of 2 given is right, of 2: F1 1/2. Of choice 1: 2/3.
  EXPECT_NEAR(choice_metric(five(), "macro_f1").value, (2.0 / 3 + 0.5) / 2, 1e-12);
}

TEST(ChoiceMetrics, MeasureHowFarTwoSentencesLieApart) {
  EXPECT_DOUBLE_EQ(question_score(question({-10, -12.5}, {1, 1}, 0), "likelihood_diff"), 2.5);
  EXPECT_DOUBLE_EQ(question_score(question({-12.5, -10}, {1, 1}, 0), "likelihood_diff"), 2.5);
  EXPECT_FALSE(choice_metric(five(), "likelihood_diff").higher_is_better);
  EXPECT_EQ(testing::error_text(ErrorCode::kConfig,
                                [] {
                                  (void)question_score(question({-1, -2, -3}, {1, 1, 1}, 0), "likelihood_diff");
                                }),
            "metric 'likelihood_diff' is the distance of two choices, a question has 3");
}

TEST(ChoiceMetrics, TellTheirError) {
  const Metric acc = choice_metric(five(), "acc");
  EXPECT_DOUBLE_EQ(acc.value, 0.6);
  // sample standard deviation / sqrt(n) of 1 0 1 1 0
  EXPECT_NEAR(*acc.standard_error, std::sqrt(0.3 / 5), 1e-12);
  EXPECT_TRUE(acc.higher_is_better);
  EXPECT_FALSE(choice_metric(five(), "brier_score").higher_is_better);
}

TEST(ChoiceMetrics, GiveThePerplexityOfTheTarget) {
  const std::vector<ScoredChoices> words = {question({-1}, {1}, 0), question({-3}, {1}, 0)};
  const Metric metric = choice_metric(words, "target_perplexity");
  EXPECT_NEAR(metric.value, std::exp(2.0), 1e-12);
  EXPECT_NEAR(*metric.standard_error, std::exp(2.0) * 1.0, 1e-12);
}

}  // namespace
}  // namespace lowbit
