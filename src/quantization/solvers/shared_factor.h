#pragma once

#include <ATen/core/Tensor.h>

#include "lowbit/quantization/solver.h"
#include "quantization/solvers/column_plan.h"
#include "quantization/solvers/hessian.h"

namespace lowbit {

/// `damped_inverse_factor` in float32 of the problem's Hessian, columns in the order of the plan: computed once for all
/// linears that share the statistics, the damping and the order. A raised damping is reported for each of them. Lies on
/// the problem's device. Not to be written into.
[[nodiscard]] at::Tensor shared_inverse_factor(const LinearProblem& problem, const CleanDiagonal& hessian,
                                               const ColumnPlan& plan, double damping);

}  // namespace lowbit
