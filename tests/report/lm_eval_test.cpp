#include <gmock/gmock.h>

#include "lowbit/base/json.h"
#include "lowbit/report/report.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;

CellResult cell_of(const std::string& recipe, const std::string& calibration, std::int64_t seed, double value) {
  CellResult cell;
  cell.model = "m";
  cell.recipe = recipe;
  cell.calibration = calibration;
  cell.seed = seed;
  cell.result.evaluation = "generation";
  cell.result.label = "sums 5-shot written";
  cell.result.metrics = {{"exact_match strict", value, 0.1, true}, {"chrf", 12.5, {}, true}};
  cell.result.items = {{.id = "test 0", .value = 1, .weight = 1, .more = {}}};
  cell.result.facts = {{"dataset", "sums"}, {"template version", "2"}, {"shots", "5 of train"}};
  cell.result.problems = {"sums.jsonl:2: no"};
  return cell;
}

// The keys are those of the harness's own results file (EvaluationTracker.save_results_aggregated, version 0.4).
TEST(LmEvalResults, HaveTheHarnesssShape) {
  Results results;
  results.models = {{"m", "abc", "gguf", "p", {}}};
  results.cells = {cell_of("float", "", 0, 0.5), cell_of("gptq", "text", 0, 0.25), cell_of("gptq", "text", 1, 0.75)};
  results.cells.push_back(cell_of("rtn", "", 0, 0));
  results.cells.back().failure = "no memory";
  const auto files = lm_eval_results(results);
  std::vector<std::string> names;
  for (const auto& [name, text] : files) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("m__float.json", "m__gptq__text__seed0.json", "m__gptq__text__seed1.json"));
  const Json json = parse_json(files.at("m__gptq__text__seed1.json"), "file");
  const Json& scores = json.at("results").at("sums 5-shot written");
  EXPECT_EQ(scores.at("exact_match,strict").get<double>(), 0.75);
  EXPECT_EQ(scores.at("exact_match_stderr,strict").get<double>(), 0.1);
  EXPECT_EQ(scores.at("chrf,none").get<double>(), 12.5);
  EXPECT_EQ(scores.at("chrf_stderr,none").get<std::string>(), "N/A");
  EXPECT_EQ(json.at("n-shot").at("sums 5-shot written").get<int>(), 5);
  EXPECT_EQ(json.at("versions").at("sums 5-shot written").get<int>(), 2);
  EXPECT_EQ(json.at("n-samples").at("sums 5-shot written").at("original").get<int>(), 2);
  EXPECT_EQ(json.at("n-samples").at("sums 5-shot written").at("effective").get<int>(), 1);
  EXPECT_EQ(json.at("configs").at("sums 5-shot written").at("output_type").get<std::string>(), "generate_until");
  EXPECT_EQ(json.at("config").at("model_args").get<std::string>(), "pretrained=m,recipe=gptq,calibration=text,seed=1");
}

TEST(LmEvalResults, NameFilesThatStayInTheirFolder) {
  Results results;
  results.cells = {cell_of("gptq", "../a/b c", 3, 0.5)};
  EXPECT_EQ(lm_eval_results(results).begin()->first, "m__gptq__.._a_b_c__seed3.json");
}

}  // namespace
}  // namespace lowbit
