#pragma once

#include <ATen/core/Tensor.h>

namespace lowbit {

/// ||a - b||_F / ||a||_F in float64, 0 when both are 0. Summed in one fixed order.
[[nodiscard]] double relative_error(const at::Tensor& original, const at::Tensor& solved);
/// sqrt(tr(D H D^T) / tr(W H W^T)) with D = W - solved, H float64 [in, in]. Its denominator is computed once.
class OutputError {
 public:
  OutputError(const at::Tensor& original, const at::Tensor& hessian);
  [[nodiscard]] double of(const at::Tensor& solved) const;

 private:
  at::Tensor original_;
  at::Tensor hessian_;  // float32
  double whole_;
};

}  // namespace lowbit
