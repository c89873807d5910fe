#pragma once

#include "experiment/machine.h"
#include "experiment/memory_model.h"
#include "lowbit/experiment/experiment.h"
#include "lowbit/experiment/plan.h"

namespace lowbit {

[[nodiscard]] MachineSpeed measure_speed(const ComputeConfig& compute);

/// What an evaluation is besides its tokens.
struct EvaluationKind {
  bool keeps_states = false;       ///< leaves the float model's states on the disk
  bool compared = false;           ///< reads them, and computes the float model's head
  bool cached = false;             ///< tokens are read from a KV cache
  bool writes = false;             ///< answers are written
  const Recipe* recipe = nullptr;  ///< that made the model; null: the float model
};

/// Predicts what work costs from the model's shape and a short measurement of this machine.
class Estimator {
 public:
  /// Takes what this process holds now for what a worker holds before its model's first weight.
  Estimator(const Architecture& architecture, const ComputeConfig& compute, const MachineSpeed& speed);
  /// Both read `item.tokens` and fill in placement, seconds, memory and disk. `collected`: the statistics are there.
  void quantization(WorkItem& item, const Recipe& recipe, std::int64_t longest_sequence, bool collected) const;
  void evaluation(WorkItem& item, const EvaluationKind& kind) const;

 private:
  [[nodiscard]] std::int64_t statistics_bytes() const;
  [[nodiscard]] double solving_seconds(const Recipe& recipe) const;
  [[nodiscard]] double forward_seconds(double tokens) const;
  Architecture architecture_;
  ComputeConfig compute_;
  MachineSpeed speed_;
  MemoryModel memory_;
};

}  // namespace lowbit
