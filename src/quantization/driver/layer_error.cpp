#include "quantization/driver/layer_error.h"

#include <algorithm>
#include <cmath>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {
namespace {

// Rows of the Hessian that are in memory in float64 at a time.
constexpr std::int64_t kSliceRows = 384;

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

// tr(D H D^T) of a symmetric H.
double weighted_norm(const at::Tensor& matrix, const at::Tensor& hessian) {
  return dot(linear(matrix, hessian, {}, true), matrix);
}

// The Hessian in float32, of which only a slice is in float64 at a time.
at::Tensor narrow_hessian(const Statistics& statistics) {
  const std::int64_t size = statistics.channels();
  at::Tensor result = make_empty({size, size}, DType::kFloat32);
  for (std::int64_t first = 0; first < size; first += kSliceRows) {
    const std::int64_t count = std::min(size - first, kSliceRows);
    result.narrow(0, first, count).copy_(statistics.hessian_rows(first, first + count));
  }
  return result;
}

}  // namespace

double relative_error(const at::Tensor& original, const at::Tensor& solved) {
  const at::Tensor before = original.contiguous();
  const at::Tensor after = solved.contiguous();
  const auto x = values_of<float>(before);
  const auto y = values_of<float>(after);
  double part = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto difference = static_cast<double>(x[i] - y[i]);
    part += difference * difference;
  }
  return root_of_share(part, dot(before, before));
}

OutputError::OutputError(const at::Tensor& original, const Statistics& statistics)
    : original_(original.contiguous()),
      hessian_(narrow_hessian(statistics)),
      whole_(weighted_norm(original_, hessian_)) {}

double OutputError::of(const at::Tensor& solved) const {
  return root_of_share(weighted_norm(original_.sub(solved), hessian_), whole_);
}

}  // namespace lowbit
