#pragma once

#include <string>
#include <vector>

#include "lowbit/config/fields.h"
#include "lowbit/quantization/steps.h"
#include "quantization/transforms/awq_clip.h"
#include "quantization/transforms/group_names.h"

namespace lowbit {

struct AwqOptions {
  int steps = 20;
  bool duo_scaling = true;
  bool clip = true;
  ClipOptions clipping;
  std::int64_t tokens = 1024;
  double give_up = 0.1;
  std::vector<std::string> groups = group_names();
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
};

/// Activation-aware scaling: each group's input channels get the scale, out of a family of one parameter, under which
/// rounding on the later solver's grid changes the inspected module's output least; then ranges are clipped. The float
/// function stays what it was, apart from clipping.
class Awq : public BlockStep {
 public:
  explicit Awq(AwqOptions options) : options_(std::move(options)) {}
  [[nodiscard]] StatisticsNeeds needs() const override;
  [[nodiscard]] bool needs_inputs() const override { return true; }
  [[nodiscard]] bool needs_solver() const override { return true; }
  [[nodiscard]] std::vector<StatisticsEffect> apply(BlockContext& context) override;
  [[nodiscard]] int version() const override { return 2; }

 private:
  struct Sample;
  [[nodiscard]] Sample draw_sample(BlockContext& context) const;
  [[nodiscard]] bool wants(const BlockContext& context, const FusedGroup& group) const;
  [[nodiscard]] at::Tensor find_scale(BlockContext& context, const FusedGroup& group, const Sample& sample) const;
  void clip_group(BlockContext& context, const FusedGroup& group, const at::Tensor& inputs) const;
  AwqOptions options_;
};

}  // namespace lowbit
