#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace lowbit {

/// The upper triangular U with U^T U = matrix^-1 of a symmetric positive definite float64 matrix, or nothing when it is
/// not definite. Taken from the factorization matrix = R R^T with R upper triangular (a Cholesky factorization from the
/// last column backwards) as U = R^-1: the inverse itself, and a second factorization that could fail, are not needed.
[[nodiscard]] std::optional<at::Tensor> inverse_factor(const at::Tensor& matrix);
/// The same in the place of `matrix`, which is contiguous. False when it is not definite; it is then undefined.
[[nodiscard]] bool invert_factor_in_place(at::Tensor& matrix);

/// The same of a Hessian + damping * `mean_diagonal`; `hessian` makes a fresh one, in whose place the work is done. A
/// failure raises the damping step by step (tenfold, from 1e-4 when it was 0, up to 1), which `report` is told; when 1
/// fails too, throws `kData` naming `layer`. Where it lies on another device than the CPU, LibTorch's functions do
/// the work.
[[nodiscard]] at::Tensor damped_inverse_factor(const std::function<at::Tensor()>& hessian, double mean_diagonal,
                                               double damping, const std::string& layer,
                                               const std::function<void(std::string_view, double)>& report);

}  // namespace lowbit
