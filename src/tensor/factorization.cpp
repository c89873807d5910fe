#include <ATen/core/Tensor.h>
#include <ATen/ops/cholesky_inverse.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_cholesky_ex.h>

#include <algorithm>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factorization.h"
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

bool cholesky_in_place(at::Tensor& matrix) {
  check_square(matrix, "cholesky");
  const NoGradScope no_grad;
  const SingleThreadScope one_thread;
  // The symmetric matrix is its own transpose, whose columns lie one after the other, as LAPACK has them.
  at::Tensor by_columns = matrix.t();
  at::Tensor info = at::empty({}, matrix.options().dtype(at::kInt));
  at::linalg_cholesky_ex_out(by_columns, info, by_columns);
  return info.item<std::int32_t>() == 0 && all_finite(matrix);
}

at::Tensor cholesky_inverse(const at::Tensor& factor) {
  check_square(factor, "cholesky_inverse");
  const NoGradScope no_grad;
  const SingleThreadScope one_thread;
  return at::cholesky_inverse(factor).contiguous();
}

// In slices: LibTorch's test makes tensors of the size of its argument.
bool all_finite(const at::Tensor& tensor) {
  constexpr std::int64_t kSlice = std::int64_t{1} << 20;
  const at::Tensor flat = tensor.contiguous().view({-1});
  for (std::int64_t begin = 0; begin < flat.numel(); begin += kSlice) {
    const at::Tensor slice = flat.narrow(0, begin, std::min(kSlice, flat.numel() - begin));
    if (!at::isfinite(slice).all().item<bool>()) return false;
  }
  return true;
}

}  // namespace lowbit
