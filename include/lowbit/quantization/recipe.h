#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/config/node.h"
#include "lowbit/model/runtime_readers.h"
#include "lowbit/quantization/solver.h"
#include "lowbit/quantization/steps.h"
#include "lowbit/registry/registry.h"

namespace lowbit LOWBIT_EXPORT {

struct Architecture;

/// Everything a recipe's steps can be made of.
struct QuantizationRegistries {
  Registry<WeightSolver> solvers{"solver"};
  Registry<BlockStep> block_steps{"block step"};
  Registry<ModelTransform> model_transforms{"model transform"};
  Registry<ExecutionStep> execution_steps{"execution step"};
  Registry<KvCacheStep> kv_cache_steps{"KV cache step"};
  Registry<ModelStep> model_steps{"model step"};
  Registry<ExecutionReader> execution_readers{"execution"};  ///< by the name of `LinearExecution::record`
};
void register_builtin_solvers(Registry<WeightSolver>& registry);
void register_builtin_model_transforms(QuantizationRegistries& registries);
void register_builtin_block_steps(QuantizationRegistries& registries);
void register_builtin_executions(QuantizationRegistries& registries);
void register_builtin_kv_cache_steps(QuantizationRegistries& registries);
[[nodiscard]] QuantizationRegistries builtin_quantization();
/// What opens artifacts whose products or caches are run by something registered here. `registries` are copied.
[[nodiscard]] RuntimeReaders runtime_readers(const QuantizationRegistries& registries);

/// How the driver walks a block: a step `{driver: {true_sequential: false}}` anywhere in the recipe.
struct DriverOptions {
  bool true_sequential = true;      ///< solve group after group, each on inputs that passed the solved ones before it
  bool propagate_quantized = true;  ///< later blocks see the outputs of the solved blocks (error propagation)
  void visit(FieldVisitor& v);
};

/// Which layers a step is for: patterns with * and ? over full layer names, each with its place in the file.
struct LayerPatterns {
  std::vector<std::pair<std::string, SourceMark>> layers;  ///< none: every linear of every block
  std::vector<std::pair<std::string, SourceMark>> except;
  [[nodiscard]] bool claims(std::string_view layer) const;
};

/// One step of a recipe as people are told of it.
struct RecipeStep {
  std::string name;
  std::string family;   ///< "solver", "block step" ...
  std::string summary;  ///< of the registered module
  std::string acts;     ///< "rounds weights", "runs around the products of solved layers" ...
  ConfigNode options;   ///< with every default
  StatisticsNeeds needs;
  bool by_layer = false;  ///< `patterns` say for which layers
  LayerPatterns patterns;
};

/// An ordered list of steps for the layers of a model:
///
///   [{awq: {}}, {gptq: {bits: 4, group: 64}, layers: ['*_proj'], except: ['model.layers.0.*'],
///     overrides: [{layers: ['*.down_proj'], bits: 8}]}]
///
/// A step is a map with one registered name and, for solvers and execution steps, `layers` and `except` (patterns with
/// * and ? over full layer names; by default every linear of every block) and, for solvers, `overrides` (options that
/// differ on some of the solver's layers; the first entry that matches a layer holds). A layer that two solvers or two
/// rounding executions claim, rounded inputs of a layer without a solver, a pattern that matches nothing, an unknown
/// key and an order that cannot work (a weight transform behind the solver) are errors.
class Recipe {
 public:
  /// Decodes and checks without any model. Null with problems added when something is wrong.
  [[nodiscard]] static std::shared_ptr<const Recipe> decode(const std::string& name, const ConfigNode& node,
                                                            const QuantizationRegistries& registries,
                                                            ConfigProblems& problems);
  /// The parts that need a model: patterns that match nothing, layers claimed twice, a cache that does not suit its heads.
  void check_layers(const Architecture& architecture, ConfigProblems& problems) const;

  [[nodiscard]] const std::string& name() const { return name_; }
  /// With every default filled in; what results store and `hash` covers.
  [[nodiscard]] const ConfigNode& resolved() const { return resolved_; }
  /// In the order in which they act, without `driver`.
  [[nodiscard]] const std::vector<RecipeStep>& steps() const { return steps_; }
  /// Of resolved steps, their versions and the plugins that they come from.
  [[nodiscard]] Hash hash() const;
  /// The solver for a layer ("model.layers.3.mlp.down_proj"), or null: the layer stays float.
  [[nodiscard]] const WeightSolver* solver(std::string_view layer) const;
  /// What runs around a layer's product and is of that kind, in the recipe's order.
  [[nodiscard]] std::vector<const ExecutionStep*> executions(std::string_view layer, ExecutionStep::Kind kind) const;
  [[nodiscard]] const std::vector<std::unique_ptr<ModelTransform>>& model_transforms() const {
    return model_transforms_;
  }
  [[nodiscard]] const std::vector<std::unique_ptr<BlockStep>>& block_steps() const { return block_steps_; }
  [[nodiscard]] const std::vector<std::unique_ptr<ModelStep>>& model_steps() const { return model_steps_; }
  /// Null: a float cache.
  [[nodiscard]] const KvCacheStep* kv_cache() const { return kv_cache_.get(); }
  /// What an artifact keeps of it.
  [[nodiscard]] const std::optional<RuntimeRecord>& kv_cache_record() const { return kv_cache_record_; }
  [[nodiscard]] const DriverOptions& driver() const { return driver_; }
  /// The plugins that steps come from, each once, in the order of the steps.
  [[nodiscard]] const std::vector<ModuleOrigin>& plugins() const { return plugins_; }
  /// Joined over the steps that read this stream.
  [[nodiscard]] StatisticsNeeds needs(Stream stream) const;
  /// Over both streams, as if all read the quantized one: for estimates of memory and time.
  [[nodiscard]] StatisticsNeeds needs() const;
  /// False: the recipe can be carried out without any data.
  [[nodiscard]] bool needs_calibration() const;

 private:
  friend class RecipeDecoder;
  struct SolverRule {
    LayerPatterns patterns;
    std::unique_ptr<WeightSolver> solver;
    struct Override {
      LayerPatterns patterns;
      std::unique_ptr<WeightSolver> solver;
    };
    std::vector<Override> overrides;
    SourceMark mark;
    std::string step;
  };
  struct ExecutionRule {
    LayerPatterns patterns;
    std::unique_ptr<ExecutionStep> execution;
    SourceMark mark;
    std::string step;
  };
  std::string name_;
  ConfigNode resolved_;
  std::vector<std::unique_ptr<ModelTransform>> model_transforms_;
  std::vector<std::unique_ptr<BlockStep>> block_steps_;
  std::vector<SolverRule> solvers_;
  std::vector<ExecutionRule> executions_;
  std::unique_ptr<KvCacheStep> kv_cache_;
  std::optional<RuntimeRecord> kv_cache_record_;
  SourceMark kv_cache_mark_;
  std::vector<std::unique_ptr<ModelStep>> model_steps_;
  std::vector<RecipeStep> steps_;
  std::vector<int> versions_;  // of the steps, in the order of `resolved_`
  std::vector<ModuleOrigin> plugins_;
  DriverOptions driver_;
};

/// `*` any run of characters, `?` one character; the whole name must match.
[[nodiscard]] bool matches_pattern(std::string_view pattern, std::string_view name);
/// Full names of all linears of all blocks, in order.
[[nodiscard]] std::vector<std::string> linear_names(const Architecture& architecture);

}  // namespace LOWBIT_EXPORT
