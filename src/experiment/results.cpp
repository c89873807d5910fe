#include "lowbit/experiment/results.h"

#include <algorithm>
#include <tuple>

#include "experiment/comparisons.h"
#include "experiment/result_json.h"
#include "experiment/run_folder.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/model/weight_source.h"

namespace lowbit {
namespace {

class Collector {
 public:
  Collector(const Experiment& experiment, const Plan& plan, const Store& store)
      : experiment_(experiment), plan_(plan), store_(store) {}

  Results collect() {
    results_.experiment = experiment_.name;
    results_.config_hash = experiment_.hash().hex();
    results_.machine = machine_facts();
    results_.build = build_facts();
    for (const ModuleOrigin& plugin : experiment_.plugins) {
      results_.build.emplace_back("plugin " + plugin.plugin, fmt::format("{} ({})", plugin.version, plugin.hash.hex()));
    }
    for (const ModelEntry& entry : experiment_.models) add_model(entry);
    results_.overlaps = plan_.overlaps;
    for (const Cell& cell : plan_.cells) add_cell(cell);
    compare_cells(experiment_, results_);
    return std::move(results_);
  }

 private:
  void add_model(const ModelEntry& entry) {
    const auto weights = open_weights(entry.path);
    results_.models.push_back(
        {entry.name, weights->fingerprint().hex(), weights->format(), entry.path.string(), weights->remarks()});
  }

  [[nodiscard]] std::string recipe_name(int recipe) const {
    return recipe < 0 ? Experiment::kBaseline : experiment_.recipes[static_cast<std::size_t>(recipe)].name;
  }

  void add_cell(const Cell& cell) {
    CellResult result;
    result.model = experiment_.models[static_cast<std::size_t>(cell.model)].name;
    result.recipe = recipe_name(cell.recipe);
    if (cell.calibration >= 0)
      result.calibration = experiment_.calibrations[static_cast<std::size_t>(cell.calibration)].name;
    result.evaluation = experiment_.evaluations[static_cast<std::size_t>(cell.evaluation)].evaluation->label();
    result.seed = cell.seed;
    if (!cell.artifact.empty()) read_quantization(cell.artifact, result);
    if (!result.failure) read_evaluation(cell.item, result);
    results_.cells.push_back(std::move(result));
  }

  // The content of a result file; without one the reason goes into `result`.
  std::optional<std::string> read_result(const std::string& key, std::string_view what, CellResult& result) const {
    std::error_code error;
    if (std::filesystem::exists(store_.result(key), error)) return read_file(store_.result(key));
    const auto failure = read_failure(store_.failure(key));
    result.failure = fmt::format("{}: {}", what, failure ? failure->message : "not run");
    return std::nullopt;
  }

  void read_quantization(const std::string& key, CellResult& result) const {
    const auto text = read_result(key, "quantization", result);
    if (!text) return;
    const QuantizeRecord record = quantize_from_json(*text, store_.result(key).string());
    result.size = record.size;
    result.quantize_cost = record.cost;
    result.event_count = static_cast<std::int64_t>(record.events.size());
    if (record.mean_output_error >= 0) result.mean_output_error = record.mean_output_error;
  }

  void read_evaluation(const std::string& key, CellResult& result) const {
    const auto text = read_result(key, "evaluation", result);
    if (text) std::tie(result.result, result.cost) = evaluation_from_json(*text, store_.result(key).string());
  }

  const Experiment& experiment_;
  const Plan& plan_;
  const Store& store_;
  Results results_;
};

}  // namespace

bool Results::failed() const {
  return std::any_of(cells.begin(), cells.end(),
                     [](const CellResult& cell) { return cell.failure.has_value() || !cell.result.problems.empty(); });
}

Results collect_results(const Experiment& experiment, const Plan& plan, const Store& store) {
  return Collector(experiment, plan, store).collect();
}

}  // namespace lowbit
