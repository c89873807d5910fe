#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// The upper triangular U with U^T U = matrix^-1 of a symmetric float64 `matrix`, by LibTorch's functions on `device`,
/// which holds four matrices of its size meanwhile. The result is contiguous and lies where `matrix` does. Nothing when
/// it is not positive definite.
[[nodiscard]] std::optional<at::Tensor> inverse_upper_factor(const at::Tensor& matrix, at::Device device);

}  // namespace LOWBIT_EXPORT
