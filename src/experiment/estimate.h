#pragma once

#include "lowbit/experiment/experiment.h"
#include "lowbit/experiment/plan.h"

namespace lowbit {

/// Predicts what work costs from the model's shape and a short measurement of this machine's matrix products.
class Estimator {
 public:
  Estimator(const Architecture& architecture, const ComputeConfig& compute);
  /// Both read `item.tokens` and fill in seconds, memory and disk.
  void quantization(WorkItem& item, const Recipe& recipe) const;
  void evaluation(WorkItem& item, bool keeps_states) const;

 private:
  [[nodiscard]] double seconds_for(double multiply_adds) const;
  [[nodiscard]] std::int64_t element_bytes() const;
  /// Program and library, embedding and head, blocks as the memory mode keeps them.
  [[nodiscard]] std::int64_t model_memory() const;
  Architecture architecture_;
  ComputeConfig compute_;
  double multiply_adds_per_second_;
};

}  // namespace lowbit
