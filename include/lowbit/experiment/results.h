#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/evaluation/evaluation.h"
#include "lowbit/evaluation/statistics.h"
#include "lowbit/experiment/experiment.h"
#include "lowbit/experiment/plan.h"
#include "lowbit/quantization/driver.h"

namespace lowbit LOWBIT_EXPORT {

/// What one piece of work cost.
struct Cost {
  double seconds = 0;
  std::int64_t peak_memory = 0;     ///< ru_maxrss of the process, bytes
  std::int64_t peak_anonymous = 0;  ///< the part that is no file mapping, sampled
};

/// One cell as results and reports show it.
struct CellResult {
  std::string model;
  std::string recipe;       ///< "float" for the baseline
  std::string calibration;  ///< empty when the recipe needs none
  std::string evaluation;   ///< label
  std::int64_t seed = 0;
  std::optional<std::string> failure;  ///< the reason, when it failed
  EvaluationResult result;             ///< empty when it failed
  Cost cost;                           ///< of the evaluation
  Cost quantize_cost;
  std::optional<StoredSize> size;
  std::optional<double> mean_output_error;
  std::int64_t event_count = 0;
  std::optional<PairedDifference> against_baseline;  ///< of the headline's items: ln(perplexity), or the score
  double adjusted_p = 1;                             ///< Holm over all comparisons with the baseline in this experiment
};

struct ContrastResult {
  std::string model, evaluation, calibration, first, second;
  std::int64_t seed = 0;
  PairedDifference difference;
  double adjusted_p = 1;
  double margin = 0;
  Verdict verdict = Verdict::kUndecided;
  std::string scope;  ///< "this checkpoint only", or over how many seeds
};

struct Results {
  static constexpr int kSchemaVersion = 1;
  std::string experiment;
  std::string config_hash;
  std::vector<std::pair<std::string, std::string>> machine;  ///< CPU, cores, memory, system
  std::vector<std::pair<std::string, std::string>> build;    ///< version, compiler, LibTorch, instruction set
  struct ModelFacts {
    std::string name, hash, format, path;
    std::vector<std::string> remarks;
  };
  std::vector<ModelFacts> models;
  std::vector<CellResult> cells;
  std::vector<ContrastResult> contrasts;
  [[nodiscard]] bool failed() const;
};

/// Gathers what the store holds of the plan's cells, and compares.
[[nodiscard]] Results collect_results(const Experiment& experiment, const Plan& plan, const Store& store);
/// The documented form (docs/results.md).
[[nodiscard]] std::string results_json(const Results& results);
/// Pairs two results of the same evaluation item by item and compares them. Throws `kData` when the items differ.
[[nodiscard]] PairedDifference compare(const EvaluationResult& result, const EvaluationResult& other);
/// Equivalent when two one-sided tests put the difference inside a margin that was set beforehand (its 90 % interval
/// lies within +-margin), else different when the adjusted p-value is below 0.05, else undecided.
[[nodiscard]] Verdict verdict_of(const PairedDifference& difference, double adjusted_p, double margin);
[[nodiscard]] std::vector<std::pair<std::string, std::string>> machine_facts();
[[nodiscard]] std::vector<std::pair<std::string, std::string>> build_facts();

/// JSON of one evaluation, and back; what the store keeps. `from` throws `kData` as "<origin>: ...".
[[nodiscard]] std::string evaluation_json(const EvaluationResult& result, const Cost& cost);
[[nodiscard]] std::pair<EvaluationResult, Cost> evaluation_from_json(std::string_view json, const std::string& origin);

}  // namespace lowbit
