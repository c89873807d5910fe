#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

#include "lowbit/quantization/solver.h"

namespace lowbit {

/// A layer's Hessian with its dead columns settled: those that no calibration token reached have the diagonal 1.
struct CleanHessian {
  at::Tensor matrix;  ///< float64 [in, in], a copy
  at::Tensor dead;    ///< bool [in]
  std::int64_t dead_count = 0;
  double mean_diagonal = 0;  ///< over live columns; over all, dead ones as 1, when `count_dead`
};

/// Throws `kData` naming the layer when the calibration inputs gave no usable Hessian. Reports dead columns.
[[nodiscard]] CleanHessian clean_hessian(const LinearProblem& problem, bool count_dead);

/// Throws `kData` naming the layer unless its statistics are of at least one token and of its input's width. Reports
/// when there are fewer tokens than columns, so that the Hessian is singular but for its damping. `solver` is named in
/// the message.
void check_statistics(const LinearProblem& problem, std::string_view solver);

}  // namespace lowbit
