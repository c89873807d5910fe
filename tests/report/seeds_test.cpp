// How tables and report speak of several seeds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/report/report.h"

namespace lowbit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class SeedsReport : public ::testing::Test {
 protected:
  SeedsReport() {
    results.experiment = "seeds";
    add("float", "", 0, 10.0);
  }
  void add(const std::string& recipe, const std::string& calibration, std::int64_t seed, double perplexity) {
    CellResult cell;
    cell.model = "m";
    cell.recipe = recipe;
    cell.calibration = calibration;
    cell.evaluation = "text gptq-64";
    cell.seed = seed;
    cell.result.protocol = "gptq-64";
    cell.result.metrics = {{"perplexity", perplexity, 0.5, false}};
    results.cells.push_back(std::move(cell));
  }
  void add_comparison(const std::string& recipe, std::int64_t seeds, Verdict verdict) {
    Comparison row;
    row.model = "m";
    row.evaluation = "text gptq-64";
    row.calibration = "c4";
    row.first = recipe;
    row.second = "float";
    row.difference = {.difference = std::log(1.1),
                      .standard_error = 0.01,
                      .degrees = 20,
                      .low = std::log(1.05),
                      .high = std::log(1.15),
                      .p_value = 0.001,
                      .n = 40,
                      .seeds = seeds,
                      .seeds_are_a_sample = seeds >= kLeastSeeds};
    row.verdict = verdict;
    results.against_baseline.push_back(row);
  }
  Results results;
};

TEST_F(SeedsReport, ShowsTheSpreadOverSeedsAndThePooledInterval) {
  for (std::int64_t seed = 0; seed < 5; ++seed) add("gptq", "c4", seed, 11 + 0.1 * static_cast<double>(seed - 2));
  add_comparison("gptq", 5, Verdict::kDifferent);
  const std::string table = terminal_table(results, false);
  EXPECT_THAT(table, HasSubstr("seeds"));
  // Five values 10.8 .. 11.2: standard deviation 0.158.
  EXPECT_THAT(table, HasSubstr("11.000 ± 0.500, seeds ± 0.158"));
  EXPECT_THAT(table, HasSubstr("+10.0 % [+5.0, +15.0]"));
  EXPECT_THAT(table, Not(HasSubstr("(fixed)")));
  EXPECT_THAT(table, HasSubstr("10.000 ± 0.500\n"));  // the float model has no draws
  const std::string report = markdown_report(results);
  EXPECT_THAT(report, HasSubstr("their intervals hold for further draws of the calibration data"));
  EXPECT_THAT(report, Not(HasSubstr("fewer than 5 seeds")));
}

TEST_F(SeedsReport, SaysThatFewSeedsSpeakForThemselvesOnly) {
  for (std::int64_t seed = 0; seed < 3; ++seed) add("gptq", "c4", seed, 11);
  add_comparison("gptq", 3, Verdict::kUndecided);
  const std::string table = terminal_table(results, false);
  EXPECT_THAT(table, HasSubstr("3 (fixed)"));
  EXPECT_THAT(table, HasSubstr("[+5.0, +15.0] n.s."));
  const std::string report = markdown_report(results);
  EXPECT_THAT(report, HasSubstr("Rows with fewer than 5 seeds"));
  EXPECT_THAT(report, Not(HasSubstr("further draws")));
}

TEST_F(SeedsReport, ShowsNoColumnOfSeedsForOne) {
  add("gptq", "c4", 7, 11);
  add_comparison("gptq", 1, Verdict::kEquivalent);
  const std::string table = terminal_table(results, false);
  EXPECT_THAT(table, Not(HasSubstr("seeds")));
  EXPECT_THAT(table, HasSubstr("[+5.0, +15.0] equiv."));
}

TEST_F(SeedsReport, NamesContrastsWithScopeAndWhatCouldBeFound) {
  Comparison contrast;
  contrast.model = "m";
  contrast.evaluation = "text gptq-64";
  contrast.calibration = "c4";
  contrast.first = "awq";
  contrast.second = "gptq";
  contrast.detectable = 0.0123;
  contrast.scope = "5 seeds";
  contrast.difference.n = 40;
  contrast.level = 0.05 / 6;
  results.contrasts.push_back(contrast);
  contrast.difference.changed = ChangedAnswers{.n = 100, .gained = 1, .lost = 5};
  results.contrasts.push_back(contrast);
  contrast.calibration.clear();
  contrast.recipe = "gptq";
  contrast.first = "c4";
  contrast.second = "code";
  contrast.verdict = Verdict::kEquivalent;
  contrast.margin = 0.02;
  contrast.scope = "this checkpoint only";
  results.contrasts.push_back(contrast);
  const std::string report = markdown_report(results);
  EXPECT_THAT(report, HasSubstr("| awq - gptq | text gptq-64 | c4 |"));
  EXPECT_THAT(report, HasSubstr("| undecided (detectable: 0.0123) | 5 seeds |"));
  // 2^-5 for all six the same way.
  EXPECT_THAT(report, HasSubstr("| undecided (p of 6 changed answers is 0.031 at least, the level 0.0083; detectable: "
                                "0.0123) | 5 seeds |"));
  EXPECT_THAT(report, HasSubstr("| gptq: c4 - code | text gptq-64 | as named |"));
  EXPECT_THAT(report, HasSubstr("| equivalent within 0.02 | this checkpoint only |"));
}

}  // namespace
}  // namespace lowbit
