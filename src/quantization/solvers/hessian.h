#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "lowbit/quantization/solver.h"
#include "quantization/solvers/column_plan.h"

namespace lowbit {

/// The diagonal of a layer's Hessian with its dead columns settled: those that no calibration token reached have 1.
struct CleanDiagonal {
  at::Tensor values;  ///< float64 [in]
  at::Tensor dead;    ///< bool [in]
  double mean = 0;    ///< over live columns; over all, dead ones as 1, when `count_dead`
};

/// Throws `kData` naming the layer when the calibration inputs gave no usable Hessian. Reports dead columns.
[[nodiscard]] CleanDiagonal clean_diagonal(const LinearProblem& problem, bool count_dead);

/// A fresh Hessian, float64 [in, in], with `diagonal` in place of its own, rows and columns in the order of the plan.
/// It lies on `device`; beside it only a slice of another is in memory.
[[nodiscard]] at::Tensor ordered_hessian(const Statistics& statistics, const at::Tensor& diagonal,
                                         const ColumnPlan& plan, at::Device device);

/// Throws `kData` naming the layer unless its statistics are of at least one token and of its input's width. Reports
/// when there are fewer tokens than columns, so that the Hessian is singular but for its damping. `solver` is named in
/// the message.
void check_statistics(const LinearProblem& problem, std::string_view solver);

}  // namespace lowbit
