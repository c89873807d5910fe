#include "lowbit/experiment/results.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "experiment/result_json.h"
#include "experiment/run_folder.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/model/weight_source.h"

namespace lowbit {
namespace {

constexpr double kAlpha = 0.05;

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
    for (const Cell& cell : plan_.cells) add_cell(cell);
    compare_with_baseline();
    for (const Contrast& contrast : experiment_.contrasts) add_contrast(contrast);
    return std::move(results_);
  }

 private:
  using BaselineKey = std::pair<std::string, std::string>;  // model, evaluation

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

  void compare_with_baseline() {
    std::map<BaselineKey, const EvaluationResult*> baselines;
    for (const CellResult& cell : results_.cells) {
      if (cell.recipe == Experiment::kBaseline && !cell.failure)
        baselines[{cell.model, cell.evaluation}] = &cell.result;
    }
    std::vector<double> p_values;
    std::vector<CellResult*> compared;
    for (CellResult& cell : results_.cells) {
      const auto baseline = baselines.find({cell.model, cell.evaluation});
      if (cell.failure || cell.recipe == Experiment::kBaseline || baseline == baselines.end()) continue;
      cell.against_baseline = compare(cell.result, *baseline->second);
      p_values.push_back(cell.against_baseline->p_value);
      compared.push_back(&cell);
    }
    const std::vector<double> adjusted = holm_adjust(p_values);
    for (std::size_t i = 0; i < compared.size(); ++i) compared[i]->adjusted_p = adjusted[i];
  }

  // The cell of a recipe that stands beside `like`: same model, evaluation, and calibration and seed where both have
  // them.
  const CellResult* partner(const CellResult& like, const std::string& recipe) const {
    for (const CellResult& cell : results_.cells) {
      const bool same_draw = cell.calibration.empty() || like.calibration.empty() ||
                             (cell.calibration == like.calibration && cell.seed == like.seed);
      if (cell.recipe == recipe && cell.model == like.model && cell.evaluation == like.evaluation && same_draw)
        return &cell;
    }
    return nullptr;
  }

  void add_pair(const CellResult& first, const CellResult& second, double margin) {
    if (first.failure || second.failure) return;
    ContrastResult contrast;
    contrast.model = first.model;
    contrast.evaluation = first.evaluation;
    contrast.calibration = first.calibration.empty() ? second.calibration : first.calibration;
    contrast.first = first.recipe;
    contrast.second = second.recipe;
    contrast.seed = first.calibration.empty() ? second.seed : first.seed;
    contrast.difference = compare(first.result, second.result);
    contrast.margin = margin;
    contrast.scope = "this checkpoint only";
    results_.contrasts.push_back(std::move(contrast));
  }

  void add_contrast(const Contrast& contrast) {
    const std::size_t begin = results_.contrasts.size();
    for (std::size_t a = 0; a < contrast.recipes.size(); ++a) {
      for (std::size_t b = a + 1; b < contrast.recipes.size(); ++b) {
        // Walk over the side that is drawn more often, so that every draw is compared once.
        const bool first_is_drawn = is_drawn(contrast.recipes[a]);
        const std::string& walked = first_is_drawn ? contrast.recipes[a] : contrast.recipes[b];
        const std::string& sought = first_is_drawn ? contrast.recipes[b] : contrast.recipes[a];
        for (const CellResult& cell : results_.cells) {
          if (cell.recipe != walked) continue;
          if (const CellResult* other = partner(cell, sought)) {
            first_is_drawn ? add_pair(cell, *other, contrast.margin) : add_pair(*other, cell, contrast.margin);
          }
        }
      }
    }
    judge(begin);
  }

  bool is_drawn(const std::string& recipe) const {
    return std::any_of(results_.cells.begin(), results_.cells.end(),
                       [&](const CellResult& cell) { return cell.recipe == recipe && !cell.calibration.empty(); });
  }

  void judge(std::size_t begin) {
    std::vector<double> p_values;
    for (std::size_t i = begin; i < results_.contrasts.size(); ++i)
      p_values.push_back(results_.contrasts[i].difference.p_value);
    const std::vector<double> adjusted = holm_adjust(p_values);
    for (std::size_t i = begin; i < results_.contrasts.size(); ++i) {
      ContrastResult& contrast = results_.contrasts[i];
      contrast.adjusted_p = adjusted[i - begin];
      contrast.verdict = verdict_of(contrast.difference, contrast.adjusted_p, contrast.margin);
    }
  }

  const Experiment& experiment_;
  const Plan& plan_;
  const Store& store_;
  Results results_;
};

}  // namespace

bool Results::failed() const {
  return std::any_of(cells.begin(), cells.end(), [](const CellResult& cell) { return cell.failure.has_value(); });
}

PairedDifference compare(const EvaluationResult& result, const EvaluationResult& other) {
  if (result.items.size() != other.items.size()) {
    fail(ErrorCode::kData, "'{}' has {} items and {} to compare with: the two were not run on the same data",
         result.label, result.items.size(), other.items.size());
  }
  std::vector<double> a, b, weights;
  for (std::size_t i = 0; i < result.items.size(); ++i) {
    if (result.items[i].id != other.items[i].id) {
      fail(ErrorCode::kData, "'{}': item '{}' is paired with '{}'", result.label, result.items[i].id,
           other.items[i].id);
    }
    a.push_back(result.items[i].value);
    b.push_back(other.items[i].value);
    weights.push_back(result.items[i].weight);
  }
  return paired_difference(a, b, weights, 1.0 - kAlpha);
}

Verdict verdict_of(const PairedDifference& difference, double adjusted_p, double margin) {
  if (margin > 0 && difference.n > 1) {
    const double reach =
        student_t_quantile(1.0 - 2.0 * kAlpha, static_cast<double>(difference.n - 1)) * difference.standard_error;
    if (std::abs(difference.difference) + reach < margin) return Verdict::kEquivalent;
  }
  return adjusted_p < kAlpha ? Verdict::kDifferent : Verdict::kUndecided;
}

Results collect_results(const Experiment& experiment, const Plan& plan, const Store& store) {
  return Collector(experiment, plan, store).collect();
}

}  // namespace lowbit
