#include <ATen/core/Tensor.h>
#include <ATen/ops/cholesky_inverse.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_cholesky_ex.h>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

void check_square(const at::Tensor& matrix, const char* what) {
  if (matrix.dim() != 2 || matrix.size(0) != matrix.size(1) || matrix.scalar_type() != at::kDouble) {
    fail(ErrorCode::kInternal, "{}: expected a square float64 matrix, got {} of {}", what, shape_text(shape_of(matrix)),
         c10::toString(matrix.scalar_type()));
  }
}

}  // namespace

std::optional<at::Tensor> cholesky(const at::Tensor& matrix) {
  check_square(matrix, "cholesky");
  const NoGradScope no_grad;
  const SingleThreadScope one_thread;
  auto [factor, info] = at::linalg_cholesky_ex(matrix);
  if (info.item<std::int32_t>() != 0 || !all_finite(factor)) return std::nullopt;
  return factor.contiguous();
}

at::Tensor cholesky_inverse(const at::Tensor& factor) {
  check_square(factor, "cholesky_inverse");
  const NoGradScope no_grad;
  const SingleThreadScope one_thread;
  return at::cholesky_inverse(factor).contiguous();
}

bool all_finite(const at::Tensor& tensor) { return at::isfinite(tensor).all().item<bool>(); }

}  // namespace lowbit
