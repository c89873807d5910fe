#include "quantization/driver/layer_error.h"

#include <cmath>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {
namespace {

// One accumulator, from first to last: LibTorch's sum would depend on the number of threads.
double dot(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor left = a.contiguous();
  const at::Tensor right = b.contiguous();
  const auto x = values_of<float>(left);
  const auto y = values_of<float>(right);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return sum;
}

// Rounding may leave a tiny negative number where the truth is 0.
double root_of_share(double part, double whole) { return whole > 0 ? std::sqrt(std::max(part, 0.0) / whole) : 0.0; }

// tr(D H D^T): H is symmetric, so that D H = D H^T.
double weighted_norm(const at::Tensor& matrix, const at::Tensor& hessian) {
  return dot(linear(matrix, hessian, {}, true), matrix);
}

}  // namespace

double relative_error(const at::Tensor& original, const at::Tensor& solved) {
  const at::Tensor difference = original.sub(solved);
  return root_of_share(dot(difference, difference), dot(original, original));
}

OutputError::OutputError(const at::Tensor& original, const at::Tensor& hessian)
    : original_(original.contiguous()),
      hessian_(to_dtype(hessian, DType::kFloat32).contiguous()),
      whole_(weighted_norm(original_, hessian_)) {}

double OutputError::of(const at::Tensor& solved) const {
  return root_of_share(weighted_norm(original_.sub(solved), hessian_), whole_);
}

}  // namespace lowbit
