// What the store keeps of an evaluation and of a quantization.
#include <cmath>

#include "experiment/result_json.h"
#include "fuzz/fuzz.h"
#include "lowbit/experiment/results.h"

namespace lowbit::fuzzing {
namespace {

void read(std::string_view input) {
  try {
    (void)quantize_from_json(input, "quantize.json");
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kData) throw;
  }
  const auto [result, cost] = evaluation_from_json(input, "evaluation.json");
  const std::string written = evaluation_json(result, cost);
  const auto [again, cost_again] = evaluation_from_json(written, "written");
  if (evaluation_json(again, cost_again) != written) report("a result that was written is read differently");
}

std::vector<std::string> seeds() {
  EvaluationResult result;
  result.evaluation = "perplexity";
  result.label = "wordnet";
  result.protocol = "gptq-512";
  result.metrics = {{"perplexity", 12.5, 0.25, false}, {"top1", 0.5, std::nullopt, true}};
  result.facts = {{"windows", "2"}};
  result.items.resize(2);
  result.items[0].id = "0";
  result.items[0].value = 2.5;
  result.items[0].more["kl"] = HUGE_VAL;
  QuantizeReport report;
  report.layers.push_back({"model.layers.0.mlp.down_proj", "int4 g64", 0.1, 0.2, -1, 0.3});
  report.events.push_back({"model.layers.0.mlp.down_proj", "damping raised", 0.01});
  return {evaluation_json(result, {1.5, 100, 50}), quantize_json(report, {1.5, 100, 50})};
}

}  // namespace

const Target& target() {
  static const Target result = {.read = read,
                                .seeds = seeds,
                                .words = {"\"nan\"", "\"-inf\"", "\"version\": 1,", "1e300", "\"items\": [",
                                          "{\"id\": \"a\", \"value\": 1, \"weight\": 1},"},
                                .memory = std::size_t{32} << 20};
  return result;
}

}  // namespace lowbit::fuzzing
