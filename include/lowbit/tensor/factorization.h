#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// The upper triangular U with U^T U = matrix^-1 of a symmetric float64 `matrix`, contiguous, by LibTorch's functions
/// on the device where it lies. Three matrices of its size are there meanwhile, one of them `matrix` if that is moved
/// here. Nothing when it is not positive definite.
[[nodiscard]] std::optional<at::Tensor> inverse_upper_factor(at::Tensor matrix);

}  // namespace LOWBIT_EXPORT
