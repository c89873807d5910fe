#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// `cholesky` in the place of the symmetric `matrix` (float64, contiguous), which becomes L^T: the upper triangle,
/// zeros below. On one thread, the same bits. False when the matrix is not positive definite; its content is then
/// undefined.
[[nodiscard]] bool cholesky_in_place(at::Tensor& matrix);

/// The upper triangular U with U^T U = matrix^-1 of a symmetric float64 `matrix`, by LibTorch's functions on `device`,
/// which holds four matrices of its size meanwhile. The result is contiguous and lies where `matrix` does. Nothing when
/// it is not positive definite.
[[nodiscard]] std::optional<at::Tensor> inverse_upper_factor(const at::Tensor& matrix, at::Device device);

}  // namespace LOWBIT_EXPORT
