#include "quantization/solvers/rtn.h"

namespace lowbit {

void RtnOptions::visit(FieldVisitor& v) {
  grid.visit(v);
  visit_clip(v, clip);
}

QuantizedWeight RtnSolver::solve(const LinearProblem& problem) const {
  check_weight(problem, grid());
  return round_to_nearest(problem.weight, grid(), options_.clip);
}

at::Tensor RtnSolver::approximate(const at::Tensor& weight) const {
  return round_to_nearest(weight, grid(), options_.clip).dequantize();
}

}  // namespace lowbit
