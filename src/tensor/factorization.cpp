#include <ATen/core/Tensor.h>
#include <ATen/ops/cholesky_inverse.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/linalg_solve_triangular.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <limits>

#include "base/every_isa.h"
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

// A number is NaN or Inf when all bits of its exponent are set: one more of the lowest of them then reaches the sign's
// place, where `carried` collects it.
template <typename Bits, typename Number>
LOWBIT_EVERY_ISA bool finite_here(const Number* values, std::int64_t count) {
  constexpr Bits kExponent = std::bit_cast<Bits>(std::numeric_limits<Number>::infinity());
  constexpr Bits kLowest = kExponent & (~kExponent + 1);
  Bits carried = 0;
  for (std::int64_t i = 0; i < count; ++i) carried |= (std::bit_cast<Bits>(values[i]) & kExponent) + kLowest;
  return (carried >> (8 * sizeof(Bits) - 1)) == 0;
}

template <typename Bits, typename Number>
bool finite(const Number* values, std::int64_t count) {
  constexpr std::int64_t kGrain = std::int64_t{1} << 17;
  std::atomic<bool> result{true};
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    if (!finite_here<Bits>(values + begin, end - begin)) result = false;
  });
  return result;
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

// Read from its end, matrix = R R^T with R upper triangular is a Cholesky factorization; U is R^-1.
std::optional<at::Tensor> inverse_upper_factor(at::Tensor matrix) {
  check_square(matrix, "inverse_upper_factor");
  const NoGradScope no_grad;
  matrix = matrix.flip({0, 1});
  {
    const auto [lower, info] = at::linalg_cholesky_ex(matrix);
    if (info.item<std::int32_t>() != 0) return std::nullopt;
    matrix = lower.flip({0, 1});
  }
  at::Tensor result = at::eye(matrix.size(0), matrix.options());
  at::linalg_solve_triangular_out(result, matrix, result, true);  // in its place
  if (!all_finite(result)) return std::nullopt;
  return result;
}

at::Tensor cholesky_inverse(const at::Tensor& factor) {
  check_square(factor, "cholesky_inverse");
  const NoGradScope no_grad;
  const SingleThreadScope one_thread;
  return at::cholesky_inverse(factor).contiguous();
}

bool all_finite(const at::Tensor& tensor) {
  if (tensor.device().is_cpu() && tensor.is_contiguous()) {
    const std::int64_t count = tensor.numel();
    if (tensor.scalar_type() == at::kFloat) return finite<std::uint32_t>(tensor.const_data_ptr<float>(), count);
    if (tensor.scalar_type() == at::kDouble) return finite<std::uint64_t>(tensor.const_data_ptr<double>(), count);
  }
  // In slices: LibTorch's test makes tensors of the size of its argument.
  constexpr std::int64_t kSlice = std::int64_t{1} << 20;
  const at::Tensor flat = tensor.contiguous().view({-1});
  for (std::int64_t begin = 0; begin < flat.numel(); begin += kSlice) {
    const at::Tensor slice = flat.narrow(0, begin, std::min(kSlice, flat.numel() - begin));
    if (!at::isfinite(slice).all().item<bool>()) return false;
  }
  return true;
}

}  // namespace lowbit
