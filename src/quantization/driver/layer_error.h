#pragma once

#include <ATen/core/Tensor.h>

#include "lowbit/calibration/statistics.h"

namespace lowbit {

/// ||a - b||_F / ||a||_F in float64, 0 when both are 0. Summed in one fixed order.
[[nodiscard]] double relative_error(const at::Tensor& original, const at::Tensor& solved);

/// sqrt(tr(D H D^T) / tr(W H W^T)) of two stand-ins for one weight W, D being W minus the stand-in.
struct OutputErrors {
  double solved = 0;
  double nearest = 0;
};
/// `statistics` hold the Hessian H, of which a slice at a time is in memory.
[[nodiscard]] OutputErrors relative_output_errors(const at::Tensor& original, const at::Tensor& solved,
                                                  const at::Tensor& nearest, const Statistics& statistics);

}  // namespace lowbit
