#include "evaluation/bias_metrics.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "support/error_text.h"
#include "support/source_folder.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::error_text;

constexpr AnswerRole kRoles[] = {AnswerRole::kBiased, AnswerRole::kOther, AnswerRole::kUnknown};

ScoredChoices answered(std::size_t given, std::size_t gold, bool ambiguous) {
  ScoredChoices question;
  question.log_likelihoods = {-2, -2, -2};
  question.log_likelihoods[given] = -1;
  question.gold = {gold};
  question.roles.assign(std::begin(kRoles), std::end(kRoles));
  question.ambiguous = ambiguous;
  return question;
}

TEST(BiasMetrics, AreTheFormulasOfThePaper) {
  // Open: two biased, one against, one unknown, which is right. Known: two biased, of which one is right, one unknown.
  const std::vector<ScoredChoices> questions = {answered(0, 2, true), answered(0, 2, true),  answered(1, 2, true),
                                                answered(2, 2, true), answered(0, 0, false), answered(0, 1, false),
                                                answered(2, 1, false)};
  EXPECT_DOUBLE_EQ(bias_metric(questions, "acc_ambiguous").value, 0.25);
  EXPECT_NEAR(bias_metric(questions, "bias_ambiguous").value, 0.75 * (2 * 2.0 / 3 - 1), 1e-15);
  EXPECT_DOUBLE_EQ(bias_metric(questions, "bias_disambiguated").value, 1);
  const Metric known = bias_metric(questions, "acc_disambiguated");
  EXPECT_DOUBLE_EQ(known.value, 1.0 / 3);
  // The jackknife's error of a mean is the usual one.
  EXPECT_NEAR(known.standard_error.value(), std::sqrt(1.0 / 3 * 2.0 / 3 / 2), 1e-15);
  EXPECT_TRUE(known.higher_is_better);
}

TEST(BiasMetrics, AreZeroWhereNothingIsAnswered) {
  const std::vector<ScoredChoices> questions = {answered(2, 2, true), answered(2, 2, true), answered(2, 1, false)};
  EXPECT_EQ(bias_metric(questions, "bias_ambiguous").value, 0);
  EXPECT_EQ(bias_metric(questions, "bias_ambiguous").standard_error, 0);
  EXPECT_EQ(bias_metric(questions, "bias_disambiguated").value, 0);
  EXPECT_EQ(bias_metric(questions, "bias_disambiguated").standard_error, std::nullopt);
}

TEST(BiasMetrics, SayWhatTheyLack) {
  std::vector<ScoredChoices> questions = {answered(2, 2, true)};
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)bias_metric(questions, "bias_disambiguated"); }),
            "metric 'bias_disambiguated': no question with a disambiguated context was scored; raise 'limit'");
  questions[0].roles.clear();
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { (void)bias_metric(questions, "acc_ambiguous"); }),
            "metric 'acc_ambiguous' needs to know what choices show; the dataset's task has no 'bias'");
}

// Biased answers and scores of made-up answers, by the harness' own code (tests/golden/evaluation/bbq.py).
TEST(BiasMetrics, AreThoseOfTheFieldsHarnessOnItsRows) {
  const auto data = testing::shared_data("data");
  if (!data) GTEST_SKIP() << "no data in the test data";
  const std::filesystem::path source = testing::source_folder();
  const DatasetCatalog catalog({source / "datasets"}, {*data});
  const Json golden = parse_json(read_file(source / "tests/golden/evaluation/bbq.json"), "bbq.json");
  ASSERT_EQ(golden.size(), 6U);
  for (const auto& [category, expected] : golden.items()) {
    const ExampleSet set = catalog.examples(catalog.find("bbq"), {.groups = {category}});
    EXPECT_TRUE(set.problems.empty()) << category;
    const auto biased = expected["biased"].get<std::string>();
    ASSERT_EQ(set.examples.size(), biased.size()) << category;
    std::vector<ScoredChoices> questions;
    for (std::size_t i = 0; i < set.examples.size(); ++i) {
      const Example& example = set.examples[i];
      const auto place = static_cast<std::size_t>(biased[i] - '0');
      EXPECT_EQ(example.roles.at(place), AnswerRole::kBiased) << category << " " << i;
      EXPECT_EQ(std::count(example.roles.begin(), example.roles.end(), AnswerRole::kBiased), 1) << category << " " << i;
      questions.push_back(answered((i * i + 3 * i + i / 7) % 3, example.gold.front(), example.ambiguous));
      questions.back().roles = example.roles;
    }
    EXPECT_NEAR(choice_metric(questions, "acc").value, expected["acc"].get<double>(), 1e-12) << category;
    for (const char* metric : {"acc_ambiguous", "acc_disambiguated", "bias_ambiguous", "bias_disambiguated"}) {
      EXPECT_NEAR(bias_metric(questions, metric).value, expected[metric].get<double>(), 1e-12)
          << category << " " << metric;
    }
  }
}

}  // namespace
}  // namespace lowbit
