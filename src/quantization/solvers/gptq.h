#pragma once

#include <cstdint>

#include "lowbit/config/fields.h"
#include "lowbit/quantization/solver.h"
#include "quantization/solvers/rounding.h"

namespace lowbit {

struct CleanDiagonal;
struct SweepRequest;

struct GptqOptions {
  GridOptions grid;
  Clip clip = Clip::kNone;
  bool act_order = false;
  bool static_groups = false;
  bool act_group_aware = false;
  bool ref_compat = false;
  std::int64_t block_size = 128;
  double damping = 0.01;
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
};

/// GPTQ (Frantar et al., arXiv 2210.17323): the least error of the layer's output on the calibration inputs, greedily,
/// column after column.
///
/// The Hessian is damped by `damping` times its mean diagonal over live columns. A column that no calibration token
/// reached (zero diagonal) carries no error on or off: it is rounded to nearest. `ref_compat` follows the authors'
/// program instead: such weights become 0 and count as 1 in the mean, and a group reads its parameters from weights as
/// of the last block boundary.
///
/// With `alpha` above 0 it is GPTAQ (Li et al., arXiv 2504.02692): the layer is to give, on the inputs it will see, the
/// output that the float layer gives on the float model's inputs.
class GptqSolver : public WeightSolver {
 public:
  explicit GptqSolver(const GptqOptions& options, double alpha = 0.0) : options_(options), alpha_(alpha) {}
  [[nodiscard]] StatisticsNeeds needs() const override;
  [[nodiscard]] GridSpec grid() const override { return options_.grid.spec(); }
  [[nodiscard]] QuantizedWeight solve(const LinearProblem& problem) const override;
  [[nodiscard]] at::Tensor approximate(const at::Tensor& weight) const override;
  [[nodiscard]] int version() const override { return 3; }

 private:
  void set_groups(SweepRequest& request, const at::Tensor& weight) const;
  void set_asymmetric_target(SweepRequest& request, const LinearProblem& problem, const CleanDiagonal& hessian) const;

  GptqOptions options_;
  double alpha_;
};

struct GptaqOptions {
  GptqOptions gptq;
  double alpha = 0.25;  ///< the authors'; the cross term is noisy
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const { gptq.validate(problems, mark); }
};

}  // namespace lowbit
