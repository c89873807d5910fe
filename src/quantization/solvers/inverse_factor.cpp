#include "quantization/solvers/inverse_factor.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factorization.h"
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

// One panel of columns of R^-1, by backward substitution. What lies below the panel's last row is zero. R, above the
// diagonal of `matrix`, is needed by other panels: the panel goes below it, transposed, and its diagonal to `diagonal`.
void invert_panel(double* matrix, std::int64_t size, std::int64_t begin, std::int64_t end, double* diagonal) {
  const std::int64_t width = end - begin;
  std::vector<double> x(static_cast<std::size_t>(end * width));
  for (std::int64_t c = 0; c < width; ++c) x[static_cast<std::size_t>((begin + c) * width + c)] = 1.0;
  substitute(matrix, size, 0, end, x.data(), width);
  for (std::int64_t c = begin; c < end; ++c) {
    for (std::int64_t row = 0; row < c; ++row) {
      matrix[c * size + row] = x[static_cast<std::size_t>(row * width + c - begin)];
    }
    diagonal[c] = x[static_cast<std::size_t>(c * width + c - begin)];
  }
}

// Turns a square matrix by its main diagonal, tile by tile.
void transpose_in_place(double* matrix, std::int64_t size) {
  const std::int64_t tiles = (size + kPanel - 1) / kPanel;
  parallel_for(tiles, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first * kPanel; i < std::min(last * kPanel, size); ++i) {
      for (std::int64_t j = i + 1; j < size; ++j) std::swap(matrix[i * size + j], matrix[j * size + i]);
    }
  });
}

}  // namespace

bool invert_factor_in_place(at::Tensor& matrix) {
  const std::int64_t size = matrix.size(0);
  const std::span<double> values = mutable_values_of<double>(matrix);
  // Read from its end, a symmetric matrix is the one with rows and columns in reverse order, of which LAPACK has the
  // factor; read from its end again, that factor's transpose is R^T.
  std::reverse(values.begin(), values.end());
  if (!cholesky_in_place(matrix)) return false;
  std::reverse(values.begin(), values.end());
  transpose_in_place(values.data(), size);
  std::vector<double> diagonal(static_cast<std::size_t>(size));
  const std::int64_t panels = (size + kPanel - 1) / kPanel;
  parallel_for(panels, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t panel = first; panel < last; ++panel) {
      const std::int64_t end = std::min((panel + 1) * kPanel, size);
      invert_panel(values.data(), size, panel * kPanel, end, diagonal.data());
    }
  });
  transpose_in_place(values.data(), size);
  for (std::int64_t row = 0; row < size; ++row) {
    std::fill_n(values.data() + row * size, row, 0.0);
    values[static_cast<std::size_t>(row * size + row)] = diagonal[static_cast<std::size_t>(row)];
  }
  return all_finite(matrix);
}

std::optional<at::Tensor> inverse_factor(const at::Tensor& matrix) {
  at::Tensor result = matrix.contiguous().clone();
  if (!invert_factor_in_place(result)) return std::nullopt;
  return result;
}

at::Tensor damped_inverse_factor(const std::function<at::Tensor()>& hessian, double mean_diagonal, double damping,
                                 const std::string& layer, at::Device device,
                                 const std::function<void(std::string_view, double)>& report) {
  for (double share = damping;;) {
    at::Tensor damped = hessian();
    damped.diagonal().add_(share * mean_diagonal);
    if (device.is_cpu()) {
      if (invert_factor_in_place(damped)) return damped;
    } else if (std::optional<at::Tensor> factor = inverse_upper_factor(damped, device)) {
      return *factor;
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
