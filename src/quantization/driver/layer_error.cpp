#include "quantization/driver/layer_error.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {
namespace {

// Rows of the Hessian that are in memory at a time.
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

// What columns [first, first + n) of D add to tr(D H D^T), with the n rows of the symmetric H that belong to them.
double weighted_norm(const at::Tensor& matrix, const at::Tensor& rows, std::int64_t first) {
  return dot(linear(matrix, rows, {}, true), matrix.narrow(1, first, rows.size(0)));
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

OutputErrors relative_output_errors(const at::Tensor& original, const at::Tensor& solved, const at::Tensor& nearest,
                                    const Statistics& statistics) {
  const std::array matrices = {original.contiguous(), original.sub(solved), original.sub(nearest)};
  std::array<double, 3> norms{};
  for (std::int64_t first = 0; first < statistics.channels(); first += kSliceRows) {
    const std::int64_t end = std::min(statistics.channels(), first + kSliceRows);
    const at::Tensor rows = to_dtype(statistics.hessian_rows(first, end), DType::kFloat32).contiguous();
    for (std::size_t i = 0; i < norms.size(); ++i) norms[i] += weighted_norm(matrices[i], rows, first);
  }
  return {root_of_share(norms[1], norms[0]), root_of_share(norms[2], norms[0])};
}

}  // namespace lowbit
