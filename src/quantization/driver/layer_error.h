#pragma once

#include <ATen/core/Tensor.h>

namespace lowbit {

/// ||a - b||_F / ||a||_F in float64, 0 when both are 0. Summed in one fixed order.
[[nodiscard]] double relative_error(const at::Tensor& original, const at::Tensor& solved);
/// sqrt(tr(D H D^T) / tr(W H W^T)) with D = original - solved, H float64 [in, in].
[[nodiscard]] double relative_output_error(const at::Tensor& original, const at::Tensor& solved,
                                           const at::Tensor& hessian);

}  // namespace lowbit
