#include "evaluation/answer_metrics.h"

#include <gmock/gmock.h>

#include <cmath>

namespace lowbit {
namespace {

using ::testing::ElementsAre;

/// As gsm8k's definition has them.
GenerationTask gsm8k() {
  return {.answers = {{.name = "strict", .pattern = R"(#### (\-?[0-9\.\,]+))"},
                      {.name = "flexible", .pattern = "(-?[$0-9.,]{2,})|(-?[0-9]+)", .last = true}},
          .ignore_case = true,
          .ignore = {",", R"(\$)", "(?s).*#### ", R"(\.$)"}};
}

WrittenAnswer answer(const std::string& text, const std::string& reference, const GenerationTask& rules) {
  return find_answers(text, {reference}, rules);
}

TEST(FindAnswers, TakesTheFirstMatchOrTheLast) {
  const auto found = [](const std::string& text) { return answer(text, "x", gsm8k()).found; };
  EXPECT_THAT(found("9 + 9 = 18.\n#### 18"), ElementsAre("18", "18"));
  EXPECT_THAT(found("#### 3\n#### 1,000"), ElementsAre("3", "1,000"));
  EXPECT_THAT(found("so it is $12.50."), ElementsAre("[invalid]", "$12.50."));
  EXPECT_THAT(found("no number"), ElementsAre("[invalid]", "[invalid]"));
}

TEST(ExactMatch, ComparesWhatIsNotToBeIgnored) {
  const GenerationTask rules = gsm8k();
  const auto score = [&](const std::string& text, std::size_t rule) {
    return answer_score(answer(text, "He pays 5 * 200 = $1,000.\n#### 1,000", rules), "exact_match", rule, rules);
  };
  EXPECT_EQ(score("#### 1000", 0), 1);
  EXPECT_EQ(score("It costs $1,000.", 0), 0);
  EXPECT_EQ(score("It costs $1,000.", 1), 1);
  EXPECT_EQ(score("It costs $1,001.", 1), 0);
}

TEST(ExactMatch, TakesAnyReferenceWithoutCaseAndPunctuation) {
  const GenerationTask rules{.ignore_case = true, .ignore_punctuation = true};
  const WrittenAnswer given = find_answers(" the U.S.A.\n", {"Canada", "The USA"}, rules);
  EXPECT_EQ(answer_score(given, "exact_match", 0, rules), 1);
  EXPECT_EQ(answer_score(given, "exact_match", 0, {}), 0);
}

TEST(AnswerMetric, IsAMeanWithItsError) {
  const GenerationTask rules;
  const std::vector<WrittenAnswer> answers = {answer("a", "a", rules), answer("b", "b", rules), answer("c", "b", rules),
                                              answer("d", "d", rules)};
  const Metric metric = answer_metric(answers, "exact_match", 0, rules);
  EXPECT_EQ(metric.value, 0.75);
  // Sample deviation of 1, 1, 0, 1 is 0.5; over sqrt(4)
  EXPECT_DOUBLE_EQ(*metric.standard_error, 0.25);
}

// Leaving out one answer in turn, worked with the metric itself on the others.
TEST(AnswerMetric, OfAllAnswersHasAJackknifeError) {
  const GenerationTask rules;
  const std::vector<std::pair<std::string, std::string>> pairs = {{"the cat sat on the mat", "the cat sat on a mat"},
                                                                  {"dogs bark at night", "the dogs bark at night"},
                                                                  {"it rains a lot today", "today it rains"}};
  std::vector<WrittenAnswer> answers;
  for (const auto& [text, reference] : pairs) answers.push_back(answer(text, reference, rules));
  for (const char* name : {"bleu", "chrf"}) {
    std::vector<double> left_out;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      std::vector<WrittenAnswer> others = answers;
      others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
      left_out.push_back(answer_metric(others, name, 0, rules).value);
    }
    const double mean = (left_out[0] + left_out[1] + left_out[2]) / 3;
    double squares = 0;
    for (const double value : left_out) squares += (value - mean) * (value - mean);
    EXPECT_NEAR(*answer_metric(answers, name, 0, rules).standard_error, std::sqrt(2.0 / 3 * squares), 1e-9) << name;
  }
}

TEST(AnswerMetric, CutsChineseIntoCharacters) {
  const GenerationTask rules;
  const WrittenAnswer given = answer("猫在床下面睡觉", "猫在床下面休息", rules);
  EXPECT_GT(answer_metric(std::vector{given}, "bleu", 0, rules).value, 30);
}

}  // namespace
}  // namespace lowbit
