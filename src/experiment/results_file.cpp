#include "experiment/result_json.h"
#include "lowbit/experiment/results.h"

namespace lowbit {
namespace {

Json difference_json(const PairedDifference& difference) {
  return {{"difference", json_number(difference.difference)},
          {"standard_error", json_number(difference.standard_error)},
          {"degrees_of_freedom", json_number(difference.degrees)},
          {"low", json_number(difference.low)},
          {"high", json_number(difference.high)},
          {"p_value", json_number(difference.p_value)},
          {"items", difference.n},
          {"interval", difference.changed ? "score" : "t"}};
}

Json flips_json(const Flips& flips) {
  Json json = {{"lost", flips.lost}, {"gained", flips.gained}, {"p_value", json_number(flips.p_value)}};
  if (flips.lost_margin) json["lost_margin"] = json_number(*flips.lost_margin);
  if (flips.gained_margin) json["gained_margin"] = json_number(*flips.gained_margin);
  return json;
}

Json cell_json(const CellResult& cell) {
  Json json = {{"model", cell.model}, {"recipe", cell.recipe}, {"evaluation", cell.evaluation}, {"seed", cell.seed}};
  if (!cell.calibration.empty()) json["calibration"] = cell.calibration;
  json["status"] = cell.failure ? "failed" : "done";
  if (cell.failure) {
    json["reason"] = *cell.failure;
    return json;
  }
  json["protocol"] = cell.result.protocol;
  json["metrics"] = metrics_json(cell.result);
  json["facts"] = facts_json(cell.result.facts);
  if (cell.against_baseline) json["against_baseline"] = difference_json(*cell.against_baseline);
  if (cell.flips) json["flips"] = flips_json(*cell.flips);
  json["cost"] = cost_json(cell.cost);
  if (cell.size) {
    Json artifact = {{"bits_per_quantized_weight", json_number(cell.size->bits_per_quantized_weight)},
                     {"quantized_weights", cell.size->quantized_weights},
                     {"file_bytes", cell.size->file_bytes},
                     {"events", cell.event_count},
                     {"cost", cost_json(cell.quantize_cost)}};
    if (cell.mean_output_error) artifact["mean_output_error"] = *cell.mean_output_error;
    json["artifact"] = std::move(artifact);
  }
  if (!cell.result.problems.empty()) json["problems"] = cell.result.problems;
  if (!cell.result.products.empty()) json["products"] = products_json(cell.result);
  json["items"] = items_json(cell.result);
  return json;
}

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kDifferent: return "different";
    case Verdict::kEquivalent: return "equivalent";
    case Verdict::kUndecided: return "undecided";
  }
  return "";
}

Json comparison_json(const Comparison& comparison) {
  Json json = {{"model", comparison.model},
               {"evaluation", comparison.evaluation},
               {"first", comparison.first},
               {"second", comparison.second},
               {"seeds", comparison.seeds},
               {"comparison", difference_json(comparison.difference)},
               {"correction", comparison.correction == Correction::kHolm ? "holm" : "benjamini-hochberg"},
               {"adjusted_p", json_number(comparison.adjusted_p)},
               {"level", json_number(comparison.level)},
               {"level_can_be_reached", comparison.level_can_be_reached()},
               {"margin", comparison.margin},
               {"adjusted_equivalence_p", json_number(comparison.adjusted_equivalence_p)},
               {"verdict", verdict_name(comparison.verdict)},
               {"detectable", json_number(comparison.detectable)},
               {"scope", comparison.scope}};
  if (!comparison.calibration.empty()) json["calibration"] = comparison.calibration;
  if (!comparison.recipe.empty()) json["recipe"] = comparison.recipe;
  if (comparison.first_is_own) json["first_is_own"] = true;
  return json;
}

Json own_calibrations_json(const Results& results) {
  Json list = Json::array();
  for (const OwnCalibration& own : own_calibrations(results.contrasts)) {
    list.push_back({{"model", own.model},
                    {"evaluation", own.evaluation},
                    {"recipe", own.recipe},
                    {"calibration", own.calibration},
                    {"answer", answer_name(own.answer())},
                    {"better_than", own.better_than},
                    {"worse_than", own.worse_than},
                    {"undecided", own.undecided}});
  }
  return list;
}

Json comparisons_json(const std::vector<Comparison>& comparisons) {
  Json list = Json::array();
  for (const Comparison& comparison : comparisons) list.push_back(comparison_json(comparison));
  return list;
}

}  // namespace

std::string results_json(const Results& results) {
  Json models = Json::array();
  for (const Results::ModelFacts& model : results.models) {
    models.push_back({{"name", model.name},
                      {"hash", model.hash},
                      {"format", model.format},
                      {"path", model.path},
                      {"remarks", model.remarks}});
  }
  Json cells = Json::array();
  for (const CellResult& cell : results.cells) cells.push_back(cell_json(cell));
  Json overlaps = Json::array();
  for (const CalibrationOverlap& overlap : results.overlaps) overlaps.push_back(overlap_json(overlap));
  const Json json = {{"schema", "lowbit-results"},
                     {"version", Results::kSchemaVersion},
                     {"experiment", results.experiment},
                     {"config_hash", results.config_hash},
                     {"machine", facts_json(results.machine)},
                     {"build", facts_json(results.build)},
                     {"models", std::move(models)},
                     {"overlaps", std::move(overlaps)},
                     {"cells", std::move(cells)},
                     {"against_baseline", comparisons_json(results.against_baseline)},
                     {"contrasts", comparisons_json(results.contrasts)},
                     {"own_calibrations", own_calibrations_json(results)}};
  return json.dump(1) + "\n";
}

}  // namespace lowbit
