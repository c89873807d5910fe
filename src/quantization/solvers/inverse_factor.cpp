#include "quantization/solvers/inverse_factor.h"

#include <algorithm>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/solvers/column_update.h"

namespace lowbit {
namespace {

constexpr std::int64_t kPanel = 64;
constexpr std::int64_t kLeaf = 8;
constexpr double kFirstDamping = 1e-4;
constexpr double kLastDamping = 1.0;

// Rows [begin, end) of X in R X = I, those below being known: halved until few are left, so that most of the work is
// products of matrices. X is [.., width].
void substitute(const double* upper, std::int64_t size, std::int64_t begin, std::int64_t end, double* x,
                std::int64_t width) {
  if (end - begin > kLeaf) {
    const std::int64_t middle = begin + (end - begin) / 2;
    substitute(upper, size, middle, end, x, width);
    const UpdateShape above{middle - begin, width, end - middle, width, size, width};
    subtract_products(x + begin * width, upper + begin * size + middle, x + middle * width, above);
    substitute(upper, size, begin, middle, x, width);
    return;
  }
  for (std::int64_t row = end - 1; row >= begin; --row) {
    const UpdateShape one{1, width, end - row - 1, width, size, width};
    subtract_products(x + row * width, upper + row * size + row + 1, x + (row + 1) * width, one);
    for (std::int64_t c = 0; c < width; ++c) x[row * width + c] /= upper[row * size + row];
  }
}

// One panel of columns of R^-1, by backward substitution. What lies below the panel's last row is zero.
void invert_panel(const double* upper, std::int64_t size, std::int64_t begin, std::int64_t end, double* result) {
  const std::int64_t width = end - begin;
  std::vector<double> x(static_cast<std::size_t>(end * width));
  for (std::int64_t c = 0; c < width; ++c) x[static_cast<std::size_t>((begin + c) * width + c)] = 1.0;
  substitute(upper, size, 0, end, x.data(), width);
  for (std::int64_t row = 0; row < end; ++row) {
    std::copy_n(x.data() + row * width, width, result + row * size + begin);
  }
}

}  // namespace

std::optional<at::Tensor> inverse_factor(const at::Tensor& matrix) {
  const std::int64_t size = matrix.size(0);
  std::optional<at::Tensor> lower = cholesky(matrix.flip({0, 1}).contiguous());
  if (!lower) return std::nullopt;
  const at::Tensor upper = lower->flip({0, 1}).contiguous();
  at::Tensor result = make_zeros({size, size}, DType::kFloat64);
  const double* source = values_of<double>(upper).data();
  double* target = mutable_values_of<double>(result).data();
  const std::int64_t panels = (size + kPanel - 1) / kPanel;
  parallel_for(panels, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t panel = first; panel < last; ++panel) {
      invert_panel(source, size, panel * kPanel, std::min((panel + 1) * kPanel, size), target);
    }
  });
  return result;
}

at::Tensor damped_inverse_factor(const at::Tensor& hessian, double mean_diagonal, double damping,
                                 const std::string& layer,
                                 const std::function<void(std::string_view, double)>& report) {
  for (double share = damping;;) {
    at::Tensor damped = hessian.clone();
    damped.diagonal().add_(share * mean_diagonal);
    if (std::optional<at::Tensor> factor = inverse_factor(damped)) {
      if (all_finite(*factor)) return *factor;
    }
    if (share >= kLastDamping) break;
    share = std::min(std::max(share * 10.0, kFirstDamping), kLastDamping);
    if (report) report("damping raised", share);
  }
  fail(ErrorCode::kData,
       "layer '{}': the Hessian is not positive definite even with damping {}; its calibration inputs are not usable",
       layer, kLastDamping);
}

}  // namespace lowbit
