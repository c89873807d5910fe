#pragma once

#include <string>
#include <vector>

#include "lowbit/config/fields.h"
#include "lowbit/quantization/steps.h"

namespace lowbit {

struct SmoothQuantOptions {
  double alpha = 0.5;
  std::vector<std::string> groups = {"attention_input", "mlp_input"};
  bool run_time = false;
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
};

/// Moves a part of the inputs' spread into the weights: channel c is divided by max|x_c|^alpha / max|w_c|^(1 - alpha).
class SmoothQuant : public BlockStep {
 public:
  explicit SmoothQuant(SmoothQuantOptions options) : options_(std::move(options)) {}
  [[nodiscard]] StatisticsNeeds needs() const override;
  [[nodiscard]] std::vector<StatisticsEffect> apply(BlockContext& context) override;
  [[nodiscard]] int version() const override { return 1; }

 private:
  [[nodiscard]] at::Tensor scale_of(BlockContext& context, const FusedGroup& group) const;
  SmoothQuantOptions options_;
};

}  // namespace lowbit
