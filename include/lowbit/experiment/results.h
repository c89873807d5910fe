#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
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
  std::int64_t peak_memory = 0;     ///< the most that the process held at once (VmHWM), bytes
  std::int64_t peak_anonymous = 0;  ///< the part that is no file mapping, sampled
};

/// Questions that a cell answers otherwise than the baseline: right there and wrong here, and the other way round.
struct Flips {
  std::int64_t lost = 0, gained = 0;
  double p_value = 1;  ///< exact McNemar
  /// By how much of log-likelihood the right answer was ahead on the side that gave it, on average; nothing where items
  /// have no margin.
  std::optional<double> lost_margin, gained_margin;
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
  std::optional<PairedDifference> against_baseline;  ///< of this cell's items: ln(perplexity), or the score
  std::optional<Flips> flips;                        ///< where items are right or wrong
};

/// Two recipes, or one recipe under two calibration sets, on one model and evaluation, over all seeds that both have.
struct Comparison {
  std::string model, evaluation;
  std::string calibration;    ///< of both; empty when neither has one or when two are compared
  std::string recipe;         ///< of both, when calibration sets are compared
  std::string first, second;  ///< what is compared: first minus second
  std::vector<std::int64_t> seeds;
  PairedDifference difference;
  Correction correction = Correction::kHolm;
  double adjusted_p = 1;  ///< of "there is no difference": corrected over the family
  double level = 0;       ///< for the uncorrected p-value, whatever the others of the family show
  /// Whether the data could have shown a difference at that level.
  [[nodiscard]] bool level_can_be_reached() const { return difference.least_p() <= level; }
  double adjusted_equivalence_p = 1;  ///< of "it lies outside the margin": likewise
  double margin = 0;
  Verdict verdict = Verdict::kUndecided;
  double detectable = 0;  ///< the difference that would have been found with probability 0.8
  std::string scope;      ///< "5 seeds": holds for further draws; "this checkpoint only"
  bool higher_is_better = false;
  bool first_is_own = false;  ///< `first` calibrates on the test's own kind of data, `second` on another
};

/// Whether a test suffers least behind a calibration set of its own kind of data: what a contrast `same_distribution`
/// found of one test, recipe and set. Calibration sets of other kinds by what the corrected comparison says.
struct OwnCalibration {
  enum class Answer { kBest, kNotBest, kUndecided };
  std::string model, evaluation, recipe;
  std::string calibration;  ///< of the test's own kind
  std::vector<std::string> better_than, worse_than, undecided;
  /// Best: better than all others. Not best: worse than one.
  [[nodiscard]] Answer answer() const;
};

struct Results {
  static constexpr int kSchemaVersion = 2;
  std::string experiment;
  std::string config_hash;
  std::vector<std::pair<std::string, std::string>> machine;  ///< CPU, cores, memory, system
  std::vector<std::pair<std::string, std::string>> build;    ///< version, compiler, LibTorch, instruction set
  struct ModelFacts {
    std::string name, hash, format, path;
    std::vector<std::string> remarks;
  };
  std::vector<ModelFacts> models;
  std::vector<CalibrationOverlap> overlaps;
  std::vector<CellResult> cells;
  std::vector<Comparison> against_baseline;  ///< every recipe with the float model: one family
  std::vector<Comparison> contrasts;         ///< those that the experiment names: each a family
  /// Whether a cell failed, or measured less than was asked for (`EvaluationResult::problems`).
  [[nodiscard]] bool failed() const;
};

/// "best", "not best", "undecided"
[[nodiscard]] std::string_view answer_name(OwnCalibration::Answer answer);
/// Of all comparisons whose first side is a test's own calibration set, in their order.
[[nodiscard]] std::vector<OwnCalibration> own_calibrations(const std::vector<Comparison>& contrasts);

/// Gathers what the store holds of the plan's cells, and compares.
[[nodiscard]] Results collect_results(const Experiment& experiment, const Plan& plan, const Store& store);
/// The documented form (docs/results.md).
[[nodiscard]] std::string results_json(const Results& results);
/// Pairs results of the same evaluation item by item, a pair for each seed, and compares them. Throws `kData` when the
/// items differ.
[[nodiscard]] PairedDifference compare(
    std::span<const std::pair<const EvaluationResult*, const EvaluationResult*>> pairs);
[[nodiscard]] PairedDifference compare(const EvaluationResult& result, const EvaluationResult& other);
/// Nothing when an item is neither right (1) nor wrong (0).
[[nodiscard]] std::optional<Flips> flips_between(const EvaluationResult& result, const EvaluationResult& baseline);
[[nodiscard]] std::vector<std::pair<std::string, std::string>> machine_facts();
[[nodiscard]] std::vector<std::pair<std::string, std::string>> build_facts();

/// JSON of one evaluation, and back; what the store keeps. `from` throws `kData` as "<origin>: ...".
[[nodiscard]] std::string evaluation_json(const EvaluationResult& result, const Cost& cost);
[[nodiscard]] std::pair<EvaluationResult, Cost> evaluation_from_json(std::string_view json, const std::string& origin);

}  // namespace lowbit
