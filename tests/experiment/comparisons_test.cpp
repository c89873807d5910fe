#include "experiment/comparisons.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/error.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;

// A result of 12 windows around `mean`; windows differ by far more than recipes do.
EvaluationResult result_of(double mean, double noise = 0) {
  EvaluationResult result;
  result.label = "text gptq-64";
  result.metrics = {{"perplexity", std::exp(mean), 0.1, false}};
  for (int i = 0; i < 12; ++i) {
    const double wobble = noise * ((i * 7) % 5 - 2);
    result.items.push_back({"window " + std::to_string(i), mean + 0.3 * (i % 4) + wobble, 63, {}});
  }
  return result;
}

class Comparisons : public ::testing::Test {
 protected:
  Comparisons() {
    for (const char* name : {"rtn", "gptq", "awq"}) experiment.recipes.push_back({name, nullptr, {}, {}});
    add("float", "", 0, result_of(1.0));
    add("rtn", "", 0, result_of(1.2, 0.01));
  }
  void add(const std::string& recipe, const std::string& calibration, std::int64_t seed, EvaluationResult result) {
    CellResult cell;
    cell.model = "m";
    cell.recipe = recipe;
    cell.calibration = calibration;
    cell.evaluation = "text gptq-64";
    cell.seed = seed;
    cell.result = std::move(result);
    results.cells.push_back(std::move(cell));
  }
  void add_seeds(const std::string& recipe, const std::string& calibration, std::int64_t count, double mean) {
    for (std::int64_t seed = 0; seed < count; ++seed) {
      add(recipe, calibration, seed, result_of(mean + 0.001 * static_cast<double>(seed), 0.005));
    }
  }
  const Comparison& with_float(const std::string& recipe, const std::string& calibration = "") const {
    for (const Comparison& comparison : results.against_baseline) {
      if (comparison.first == recipe && comparison.calibration == calibration) return comparison;
    }
    throw std::out_of_range(recipe);
  }

  Experiment experiment;
  Results results;
};

TEST_F(Comparisons, WithFloatPoolSeedsAndKeepEachCellsOwn) {
  add_seeds("gptq", "c4", 5, 1.05);
  compare_cells(experiment, results);
  ASSERT_EQ(results.against_baseline.size(), 2U);
  const Comparison& rtn = with_float("rtn");
  EXPECT_EQ(rtn.second, "float");
  EXPECT_EQ(rtn.scope, "this checkpoint only");
  EXPECT_THAT(rtn.seeds, ElementsAre(0));
  EXPECT_NEAR(rtn.difference.difference, 0.2, 1e-2);
  EXPECT_EQ(rtn.verdict, Verdict::kDifferent);
  const Comparison& gptq = with_float("gptq", "c4");
  EXPECT_EQ(gptq.scope, "5 seeds");
  EXPECT_THAT(gptq.seeds, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_NEAR(gptq.difference.difference, 0.052, 1e-3);
  EXPECT_TRUE(gptq.difference.seeds_are_a_sample);
  // Holm over the two: the larger p stays, the smaller is doubled.
  EXPECT_DOUBLE_EQ(std::max(rtn.adjusted_p, gptq.adjusted_p),
                   std::max({rtn.difference.p_value, gptq.difference.p_value,
                             2 * std::min(rtn.difference.p_value, gptq.difference.p_value)}));
  for (const CellResult& cell : results.cells) {
    EXPECT_EQ(cell.against_baseline.has_value(), cell.recipe != "float");
    if (cell.against_baseline) {
      EXPECT_EQ(cell.against_baseline->seeds, 1);
    }
  }
}

TEST_F(Comparisons, OfFewSeedsSayThatTheyAreOfTheseCheckpoints) {
  add_seeds("gptq", "c4", 3, 1.05);
  compare_cells(experiment, results);
  EXPECT_EQ(with_float("gptq", "c4").scope, "these 3 checkpoints only");
  EXPECT_FALSE(with_float("gptq", "c4").difference.seeds_are_a_sample);
}

TEST_F(Comparisons, PairRecipesByCalibrationAndSeed) {
  add_seeds("gptq", "c4", 6, 1.05);
  add_seeds("gptq", "code", 6, 1.10);
  add_seeds("awq", "c4", 5, 1.06);  // one seed failed
  experiment.contrasts = {{.recipes = {"rtn", "gptq", "awq"},
                           .calibrations = {},
                           .same_distribution = {},
                           .margin = 0.02,
                           .correction = Correction::kHolm,
                           .tests = {}}};
  compare_cells(experiment, results);
  std::vector<std::string> names;
  for (const Comparison& comparison : results.contrasts) {
    names.push_back(comparison.first + "-" + comparison.second + " " + comparison.calibration + " " + comparison.scope);
  }
  EXPECT_THAT(names,
              ElementsAre("rtn-gptq c4 6 seeds", "rtn-gptq code 6 seeds", "rtn-awq c4 5 seeds", "gptq-awq c4 5 seeds"));
  EXPECT_EQ(results.contrasts[0].verdict, Verdict::kDifferent);
  // 0.01 apart, seed by seed the same noise: inside the margin.
  EXPECT_NEAR(results.contrasts[3].difference.difference, -0.01, 1e-12);
  EXPECT_EQ(results.contrasts[3].verdict, Verdict::kEquivalent);
  EXPECT_EQ(results.contrasts[3].margin, 0.02);
}

TEST_F(Comparisons, MayBeCorrectedForTheShareOfFalseOnes) {
  add_seeds("gptq", "c4", 5, 1.05);
  add_seeds("gptq", "code", 5, 1.052);
  add_seeds("gptq", "prose", 5, 1.056);
  Contrast contrast;
  contrast.calibrations = {"c4", "code", "prose"};
  contrast.correction = Correction::kBenjaminiHochberg;
  experiment.contrasts = {contrast};
  compare_cells(experiment, results);
  ASSERT_EQ(results.contrasts.size(), 3U);
  std::vector<double> p_values;
  for (const Comparison& comparison : results.contrasts) p_values.push_back(comparison.difference.p_value);
  const std::vector<double> expected = benjamini_hochberg_adjust(p_values);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(results.contrasts[i].adjusted_p, expected[i]);
    EXPECT_EQ(results.contrasts[i].correction, Correction::kBenjaminiHochberg);
  }
}

TEST_F(Comparisons, OfCalibrationSetsAreMadeUnderEachRecipe) {
  add_seeds("gptq", "c4", 5, 1.05);
  add_seeds("gptq", "code", 5, 1.10);
  add_seeds("awq", "c4", 5, 1.06);
  experiment.contrasts = {{.recipes = {},
                           .calibrations = {"c4", "code"},
                           .same_distribution = {},
                           .margin = 0,
                           .correction = Correction::kHolm,
                           .tests = {}}};
  compare_cells(experiment, results);
  ASSERT_EQ(results.contrasts.size(), 1U);
  EXPECT_EQ(results.contrasts[0].recipe, "gptq");
  EXPECT_EQ(results.contrasts[0].first, "c4");
  EXPECT_NEAR(results.contrasts[0].difference.difference, -0.05, 1e-12);
  EXPECT_EQ(results.contrasts[0].scope, "5 seeds");
}

// Three kinds of calibration data; on the test "text gptq-64", which is code's own, code is the best of them, prose far
// behind, and c4 a hair.
TEST_F(Comparisons, SayWhetherATestsOwnKindOfCalibrationIsBest) {
  add_seeds("gptq", "prose", 5, 1.20);
  add_seeds("gptq", "code", 5, 1.05);
  add_seeds("gptq", "c4", 5, 1.05);
  const std::string test = "text gptq-64";
  Contrast contrast;
  contrast.same_distribution = {{"prose", {"another"}}, {"code", {test}}, {"c4", {}}};
  experiment.contrasts = {contrast};
  compare_cells(experiment, results);
  ASSERT_EQ(results.contrasts.size(), 2U);  // no pair without the test's own
  for (const Comparison& comparison : results.contrasts) {
    EXPECT_EQ(comparison.first, "code");
    EXPECT_TRUE(comparison.first_is_own);
    EXPECT_FALSE(comparison.higher_is_better);
  }
  EXPECT_NEAR(results.contrasts[0].difference.difference, -0.15, 1e-12);
  // Holm over the two of this family.
  EXPECT_DOUBLE_EQ(results.contrasts[0].adjusted_p, 2 * results.contrasts[0].difference.p_value);
  const std::vector<OwnCalibration> found = own_calibrations(results.contrasts);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].calibration, "code");
  EXPECT_EQ(found[0].recipe, "gptq");
  EXPECT_THAT(found[0].better_than, ElementsAre("prose"));
  EXPECT_THAT(found[0].undecided, ElementsAre("c4"));
  EXPECT_EQ(found[0].answer(), OwnCalibration::Answer::kUndecided);
}

EvaluationResult answers_of(const std::vector<std::pair<double, double>>& values_and_margins) {
  EvaluationResult result;
  for (const auto& [value, margin] : values_and_margins) {
    result.items.push_back({std::to_string(result.items.size()), value, 1, {{"margin", margin}}});
  }
  return result;
}

TEST(Flips, CountAnswersLostAndGained) {
  const EvaluationResult before = answers_of({{1, 0.5}, {1, 2}, {0, -1}, {1, 1.5}, {0, -3}});
  const EvaluationResult after = answers_of({{0, -0.25}, {1, 1}, {1, 0.125}, {0, -2}, {0, -4}});
  const std::optional<Flips> flips = flips_between(after, before);
  ASSERT_TRUE(flips);
  EXPECT_EQ(flips->lost, 2);
  EXPECT_EQ(flips->gained, 1);
  EXPECT_DOUBLE_EQ(flips->p_value, 1);         // 2 (1 + 3) / 8
  EXPECT_DOUBLE_EQ(*flips->lost_margin, 1.0);  // of 0.5 and 1.5, before
  EXPECT_DOUBLE_EQ(*flips->gained_margin, 0.125);
  const std::optional<Flips> none = flips_between(before, before);
  EXPECT_EQ(none->lost + none->gained, 0);
  EXPECT_EQ(none->lost_margin, std::nullopt);
}

TEST(Flips, AreOfRightAndWrongAnswersOnly) {
  EXPECT_EQ(flips_between(answers_of({{1, 0}, {0.5, 0}}), answers_of({{1, 0}, {0, 0}})), std::nullopt);
  EXPECT_EQ(flips_between(answers_of({}), answers_of({})), std::nullopt);
}

TEST(OwnCalibrations, FollowTheDirectionOfTheScore) {
  Comparison comparison;
  comparison.first_is_own = true;
  comparison.first = "own";
  comparison.second = "other";
  comparison.verdict = Verdict::kDifferent;
  comparison.difference.difference = 0.1;
  const auto answer = [&] { return own_calibrations({comparison}).front().answer(); };
  EXPECT_EQ(answer(), OwnCalibration::Answer::kNotBest);  // a perplexity
  comparison.higher_is_better = true;
  EXPECT_EQ(answer(), OwnCalibration::Answer::kBest);  // an accuracy
  comparison.verdict = Verdict::kEquivalent;
  EXPECT_EQ(answer(), OwnCalibration::Answer::kUndecided);
  comparison.first_is_own = false;
  EXPECT_TRUE(own_calibrations({comparison}).empty());
}

TEST_F(Comparisons, LeaveOutWhatFailed) {
  add_seeds("gptq", "c4", 2, 1.05);
  results.cells.back().failure = "out of memory";
  compare_cells(experiment, results);
  EXPECT_THAT(with_float("gptq", "c4").seeds, ElementsAre(0));
  for (CellResult& cell : results.cells) {
    if (cell.recipe == "float") cell.failure = "killed";
  }
  results.against_baseline.clear();
  compare_cells(experiment, results);
  EXPECT_TRUE(results.against_baseline.empty());
}

TEST_F(Comparisons, AgainstFloatUseTheExperimentsMargin) {
  experiment.margin = 0.5;
  compare_cells(experiment, results);
  EXPECT_EQ(with_float("rtn").verdict, Verdict::kEquivalent);
  EXPECT_EQ(with_float("rtn").margin, 0.5);
}

TEST(Compare, PairsItemsByTheirIds) {
  const EvaluationResult first = result_of(1.5);
  EvaluationResult other = result_of(1.0);
  EXPECT_DOUBLE_EQ(compare(first, other).difference, 0.5);
  EXPECT_EQ(compare(first, other).n, 12);
  other.items[1].id = "window 77";
  EXPECT_EQ(testing::error_text(ErrorCode::kData, [&] { (void)compare(first, other); }),
            "'text gptq-64': item 'window 1' is paired with 'window 77'");
  other.items.pop_back();
  EXPECT_EQ(testing::error_text(ErrorCode::kData, [&] { (void)compare(first, other); }),
            "'text gptq-64' has 12 items and 11 to compare with: the two were not run on the same data");
}

}  // namespace
}  // namespace lowbit
