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
constexpr double kFirstDamping = 1e-4;
constexpr double kLastDamping = 1.0;

// One panel of columns of R^-1: R X = I by backward substitution, block row by block row. X [rows, width] holds the
// identity's part at first; rows at and below the panel's end are zero in X and not stored.
void invert_panel(const double* upper, std::int64_t size, std::int64_t begin, std::int64_t end, double* result) {
  const std::int64_t width = end - begin;
  for (std::int64_t c = 0; c < width; ++c) result[(begin + c) * size + begin + c] = 1.0;
  for (std::int64_t block = (end - 1) / kPanel * kPanel; block >= 0; block -= kPanel) {
    const std::int64_t block_end = std::min(block + kPanel, end);
    for (std::int64_t r = block_end - 1; r >= block; --r) {
      const UpdateShape row{1, width, block_end - r - 1, size, size, size};
      subtract_products(result + r * size + begin, upper + r * size + r + 1, result + (r + 1) * size + begin, row);
      const double diagonal = upper[r * size + r];
      for (std::int64_t c = 0; c < width; ++c) result[r * size + begin + c] /= diagonal;
    }
    const UpdateShape above{block, width, block_end - block, size, size, size};
    subtract_products(result + begin, upper + block, result + block * size + begin, above);
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
