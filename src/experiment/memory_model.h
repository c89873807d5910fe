#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiment/memory_phases.h"
#include "lowbit/experiment/experiment.h"
#include "lowbit/experiment/plan.h"

namespace lowbit {

/// What an evaluation's memory depends on, besides model and `ComputeConfig`.
struct EvaluationLoad {
  std::int64_t tokens = 0;
  bool compared = false;           ///< with the float model's states and head
  bool cached = false;             ///< tokens are read from a KV cache
  bool writes = false;             ///< the caches of all layers are kept while answers are written
  const Recipe* recipe = nullptr;  ///< that made the model, whose weights are codes; null: the float model
  bool packed = false;             ///< its weights stay packed, and are not decoded
};

/// What a quantization's memory depends on, besides model, recipe and `ComputeConfig`.
struct QuantizationLoad {
  std::int64_t tokens = 0;   ///< of the calibration set
  std::int64_t longest = 0;  ///< tokens of its longest sequence
};

/// Predicts the most that a piece of work's process holds, from terms that mirror what the code allocates in each of
/// its phases: whoever lets a phase hold more adds the term here, and tests compare the sums with measured processes.
class MemoryModel {
 public:
  /// `baseline`: what the process holds before a model's first weight is read.
  MemoryModel(const Architecture& architecture, const ComputeConfig& compute, std::int64_t baseline);

  [[nodiscard]] MemoryPeak evaluation(const EvaluationLoad& load, const MemoryPlacement& placement) const;
  [[nodiscard]] MemoryPeak quantization(const Recipe& recipe, const QuantizationLoad& load,
                                        const MemoryPlacement& placement) const;

  /// The fastest placement whose peak stays within `limit` bytes, or the smallest one when none does.
  [[nodiscard]] MemoryPlacement place_evaluation(const EvaluationLoad& load, std::int64_t limit) const;
  [[nodiscard]] MemoryPlacement place_quantization(const Recipe& recipe, const QuantizationLoad& load,
                                                   std::int64_t limit) const;

 private:
  struct Solving;
  [[nodiscard]] std::vector<BlockLinear> linears() const;
  [[nodiscard]] std::int64_t block_bytes(const EvaluationLoad& load) const;
  [[nodiscard]] std::int64_t head_bytes(const EvaluationLoad& load) const;
  [[nodiscard]] std::int64_t table() const;
  [[nodiscard]] std::int64_t table_while_read() const;
  [[nodiscard]] bool rounds_by_rows(const Recipe& recipe) const;
  [[nodiscard]] std::int64_t table_while_written(const Recipe& recipe) const;
  [[nodiscard]] std::int64_t forward_step(std::int64_t tokens) const;
  [[nodiscard]] std::int64_t logits(const EvaluationLoad& load) const;
  [[nodiscard]] Solving solving(const Recipe& recipe, const QuantizationLoad& load,
                                const MemoryPlacement& placement) const;
  void add_solved(MemoryPhases& phases, const Solving& solving, const BlockLinear& linear,
                  const WeightSolver& solver) const;
  void add_solving(MemoryPhases& phases, const Recipe& recipe, const QuantizationLoad& load,
                   const MemoryPlacement& placement) const;
  void add_rounding(MemoryPhases& phases, const Recipe& recipe) const;
  void add_head(MemoryPhases& phases, const Recipe& recipe) const;
  Architecture architecture_;
  ComputeConfig compute_;
  std::int64_t baseline_;
  std::int64_t element_;  // bytes of an activation or weight
};

}  // namespace lowbit
