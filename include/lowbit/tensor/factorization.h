#pragma once

#include <ATen/core/Tensor.h>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// `cholesky` in the place of the symmetric `matrix` (float64, contiguous), which becomes L^T: the upper triangle,
/// zeros below. On one thread, the same bits. False when the matrix is not positive definite; its content is then
/// undefined.
[[nodiscard]] bool cholesky_in_place(at::Tensor& matrix);

}  // namespace LOWBIT_EXPORT
