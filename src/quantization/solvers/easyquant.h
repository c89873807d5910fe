#pragma once

#include "lowbit/config/fields.h"
#include "lowbit/quantization/solver.h"

namespace lowbit {

struct EasyQuantOptions {
  GridOptions grid;
  double sigma = 3.0;
  int steps = 20;
  EasyQuantOptions();
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
};

/// EasyQuant (Tang et al., arXiv 2403.02775), without data: weights that lie `sigma` standard deviations or more from
/// the matrix's mean stay float16 beside the grid; the scale of the others minimises their squared error.
///
/// The paper descends along the gradient 2 sum (s k - w) k with the codes k held fixed. Its zero is s = sum(w k) /
/// sum(k^2), so that codes and scale are fitted in turn until the error stops falling: the same minimum, exactly, in a
/// few steps.
class EasyQuantSolver : public WeightSolver {
 public:
  explicit EasyQuantSolver(const EasyQuantOptions& options) : options_(options) {}
  [[nodiscard]] GridSpec grid() const override { return options_.grid.spec(); }
  [[nodiscard]] QuantizedWeight solve(const LinearProblem& problem) const override;
  [[nodiscard]] at::Tensor approximate(const at::Tensor& weight) const override;
  [[nodiscard]] int version() const override { return 1; }

 private:
  [[nodiscard]] QuantizedWeight quantize(const at::Tensor& weight) const;

  EasyQuantOptions options_;
};

}  // namespace lowbit
