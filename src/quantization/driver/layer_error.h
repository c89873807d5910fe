#pragma once

#include <ATen/core/Tensor.h>

#include "lowbit/calibration/statistics.h"

namespace lowbit {

/// ||a - b||_F / ||a||_F in float64, 0 when both are 0. Summed in one fixed order.
[[nodiscard]] double relative_error(const at::Tensor& original, const at::Tensor& solved);

/// sqrt(tr(D H D^T) / tr(W H W^T)) of stand-ins for one weight W, D being W minus the stand-in and H the Hessian that
/// `statistics` hold. The denominator is computed once.
class OutputError {
 public:
  OutputError(const at::Tensor& original, const Statistics& statistics);
  [[nodiscard]] double of(const at::Tensor& solved) const;

 private:
  at::Tensor original_;
  at::Tensor hessian_;  // float32
  double whole_;
};

}  // namespace lowbit
