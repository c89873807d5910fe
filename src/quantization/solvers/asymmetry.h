#pragma once

#include <ATen/core/Tensor.h>

namespace lowbit {

/// GPTAQ's correction for inputs that differ from the float model's (Li et al., arXiv 2504.02692): P, strictly upper
/// triangular, float32 [in, in], with row i = alpha * D[i, F] H[F, F]^-1 over the columns F behind i, so that adding
/// w_i P[i, F] to them makes good, as far as they can, what w_i does to the output through D.
///
/// `cross` D = sum (x_float - x) x^T and `upper` U with U^T U = H^-1, both float64 [in, in] in the order of the
/// columns. Computed as triu(D U^T, 1) U, on the CPU with the same bits for any number of threads; where both lie on
/// another device, by LibTorch's products, and the result lies there. D is freed on the way if it is moved here.
[[nodiscard]] at::Tensor asymmetry_correction(at::Tensor cross, const at::Tensor& upper, double alpha);

}  // namespace lowbit
