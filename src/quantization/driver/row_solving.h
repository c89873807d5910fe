#pragma once

#include <optional>

#include "lowbit/model/linear_op.h"
#include "lowbit/quantization/solver.h"

namespace lowbit {

struct RowSolution {
  QuantizedWeight weight;
  double weight_error = 0;  ///< `relative_error` of what it stands for
};

/// `solver`'s solution of `problem`, whose weight is that of `linear` and need not be set, some rows at a time on each
/// thread: while they are in its cache they are read, rounded, checked and judged. The same bits as all at once.
/// Nothing unless the solver solves rows alone and the linear gives rows alone.
[[nodiscard]] std::optional<RowSolution> solve_by_rows(const LinearOp& linear, const WeightSolver& solver,
                                                       const LinearProblem& problem);

}  // namespace lowbit
