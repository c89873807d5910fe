#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/calibration/calibration_set.h"
#include "lowbit/config/node.h"
#include "lowbit/evaluation/evaluation.h"
#include "lowbit/evaluation/statistics.h"
#include "lowbit/experiment/resources.h"
#include "lowbit/model/model.h"
#include "lowbit/quantization/recipe.h"

namespace lowbit LOWBIT_EXPORT {

/// Every name an experiment file may use. Plugins add to them (lowbit/plugin/load.h).
struct Registries {
  QuantizationRegistries quantization;
  Registry<Evaluation> evaluations{"evaluation"};
  std::vector<ModuleOrigin> plugins;  ///< loaded, in order
};
[[nodiscard]] Registries builtin_registries();

enum class MemoryMode { kResident, kStreamed, kAuto };

/// How models are computed; the same for every cell, since it is part of what a number means.
struct ComputeConfig {
  DType dtype = DType::kFloat32;
  bool deterministic = true;
  MemoryMode memory = MemoryMode::kAuto;
  std::int64_t memory_limit = 0;  ///< MiB that a piece of work should stay within; 0: what the machine has available
  int threads = 0;                ///< 0: one for each core
  std::string device = "cpu";
  std::int64_t batch_tokens = 2048;
  Execution execution = Execution::kSimulated;  ///< of products with quantized weights
  void visit(FieldVisitor& v);
  [[nodiscard]] ComputeOptions options() const;
};

/// A recipe, or a quantized model made elsewhere (`artifact`), under the name that tables use.
struct RecipeEntry {
  std::string name;
  std::shared_ptr<const Recipe> recipe;  ///< null for an artifact
  std::filesystem::path artifact;
  SourceMark mark;
};

struct EvaluationEntry {
  std::string type;
  std::shared_ptr<const Evaluation> evaluation;
  SourceMark mark;
  ModuleOrigin origin;
};

/// A calibration set and the evaluations (labels) that test the same kind of data.
struct OwnTests {
  std::string calibration;
  std::vector<std::string> evaluations;
};

/// Recipes, or calibration sets, whose results are compared with each other, besides the comparison with the baseline:
/// pair by pair, or on each test the calibration sets of the test's own kind of data with the others. Two of the three
/// are empty.
struct Contrast {
  std::vector<std::string> recipes;
  std::vector<std::string> calibrations;
  std::vector<OwnTests> same_distribution;
  double margin = 0;  ///< of ln(perplexity) or of the score, for the verdict "equivalent"; 0: not tested
  Correction correction = Correction::kHolm;
  ConfigNode tests;  ///< `same_distribution` as the file writes it, where datasets stand for labels
  void visit(FieldVisitor& v);
};

/// What is done about calibration documents that also stand in the texts which evaluations score.
struct OverlapRule {
  enum class Mode { kList, kExclude, kIgnore };
  Mode mode = Mode::kList;
  std::int64_t ngram = 13;  ///< words of a run that counts as shared
  void visit(FieldVisitor& v);
};

/// One experiment file, decoded and checked: nothing of it was read from a model yet.
struct Experiment {
  static constexpr const char* kBaseline = "float";
  std::string name;
  std::vector<ModelEntry> models;
  std::vector<CalibrationOptions> calibrations;
  std::vector<RecipeEntry> recipes;
  std::vector<EvaluationEntry> evaluations;
  std::vector<std::int64_t> seeds;
  double margin = 0;  ///< as a contrast's, for the comparisons with the baseline
  std::vector<Contrast> contrasts;
  OverlapRule overlap;
  ComputeConfig compute;
  std::vector<std::string> required_plugins;  ///< `requires: {plugins: [...]}`; they are loaded
  std::vector<ModuleOrigin> plugins;          ///< those that recipes and evaluations come from, each once
  std::filesystem::path output;               ///< the run's folder
  std::filesystem::path store;                ///< finished work, shared by experiments
  ConfigNode resolved;  ///< with every default and every sweep written out; decodes to the same experiment
  [[nodiscard]] Hash hash() const;
};

/// Decodes a file. `overrides` are "a.b=c" of the command line. All problems are reported together: throws `kConfig`;
/// `kPlugin` when the file requires a plugin that is not among `registries.plugins`.
[[nodiscard]] Experiment load_experiment(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                                         const Registries& registries, const Resources& resources);
[[nodiscard]] Experiment decode_experiment(const ConfigNode& node, const Registries& registries,
                                           const Resources& resources);

/// Writes out `{sweep: [...]}`: every combination of the values inside `node`, each with a label such as
/// "bits=3,group=64" (empty without a sweep). Throws nothing; problems (an empty sweep, a nested one) are added,
/// and the result is then empty.
[[nodiscard]] std::vector<std::pair<std::string, ConfigNode>> expand_sweeps(const ConfigNode& node,
                                                                            ConfigProblems& problems);

}  // namespace lowbit
