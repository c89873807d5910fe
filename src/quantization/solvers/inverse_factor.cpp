#include "quantization/solvers/inverse_factor.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/ceil_divide.h"
#include "lowbit/base/error.h"
#include "lowbit/tensor/factorization.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "tensor/product_update.h"
#include "tensor/threads.h"

namespace lowbit {
namespace {

// Of a block of rows, each of which reads what is known of the whole matrix, and of the columns that one thread works
// on at a time.
constexpr std::int64_t kBlock = 96;
constexpr std::int64_t kLargeBlock = 192;
constexpr std::int64_t kLarge = 3072;
constexpr std::int64_t kStrip = 192;
constexpr std::int64_t kLeaf = 8;
constexpr double kFirstDamping = 1e-4;
constexpr double kLastDamping = 1.0;

std::int64_t block_rows(std::int64_t size) { return size < kLarge ? kBlock : kLargeBlock; }

// L, lower triangular, with matrix = L^T L, in the place of the matrix's lower triangle: the Cholesky factorization
// from the last row upwards. What is above the diagonal stays as it was or becomes undefined.
class LowerFactor {
 public:
  LowerFactor(double* matrix, std::int64_t size) : matrix_(matrix), size_(size) {}

  [[nodiscard]] bool make() {
    const std::int64_t height = block_rows(size_);
    for (std::int64_t block = ceil_divide(size_, height) - 1; block >= 0; --block) {
      const std::int64_t begin = block * height;
      const std::int64_t end = std::min(begin + height, size_);
      each_strip(end, size_ - begin,
                 [&](std::int64_t first, std::int64_t columns) { subtract(begin, end, end, size_, first, columns); });
      if (!solve_corner(begin, end)) return false;
      each_strip(begin, end - begin,
                 [&](std::int64_t first, std::int64_t columns) { solve(begin, end, first, columns); });
    }
    return true;
  }

 private:
  [[nodiscard]] double* at(std::int64_t row, std::int64_t column) const { return matrix_ + row * size_ + column; }

  // Strips of columns [0, end) of a block's rows; a row takes `depth` multiply-adds.
  template <typename Work>
  static void each_strip(std::int64_t end, std::int64_t depth, const Work& work) {
    const double operations = static_cast<double>(end * depth) * static_cast<double>(kLargeBlock);
    for_each_unit(ceil_divide(end, kStrip), operations, [&](std::int64_t strip) {
      const std::int64_t first = strip * kStrip;
      work(first, std::min(kStrip, end - first));
    });
  }

  // Takes the products with the known rows [known, last) off rows [begin, end), in some columns.
  void subtract(std::int64_t begin, std::int64_t end, std::int64_t known, std::int64_t last, std::int64_t first,
                std::int64_t columns) {
    const UpdateShape shape{end - begin, columns, last - known, size_, size_, size_};
    subtract_transposed_products(at(begin, first), at(known, begin), at(known, first), shape);
  }

  // The square of a block on the diagonal, halved until few rows are left. False when a pivot is not positive.
  [[nodiscard]] bool solve_corner(std::int64_t begin, std::int64_t end) {
    if (end - begin > kLeaf) {
      const std::int64_t middle = begin + (end - begin) / 2;
      if (!solve_corner(middle, end)) return false;
      solve(middle, end, begin, middle - begin);
      subtract(begin, middle, middle, end, begin, middle - begin);
      return solve_corner(begin, middle);
    }
    for (std::int64_t row = end - 1; row >= begin; --row) {
      if (!(*at(row, row) > 0)) return false;
      const double pivot = std::sqrt(*at(row, row));
      *at(row, row) = pivot;
      for (std::int64_t c = begin; c < row; ++c) *at(row, c) /= pivot;
      subtract(begin, row, row, row + 1, begin, row - begin);
    }
    return true;
  }

  // Rows [begin, end), whose square on the diagonal is known, in columns before it.
  void solve(std::int64_t begin, std::int64_t end, std::int64_t first, std::int64_t columns) {
    if (end - begin > kLeaf) {
      const std::int64_t middle = begin + (end - begin) / 2;
      solve(middle, end, first, columns);
      subtract(begin, middle, middle, end, first, columns);
      solve(begin, middle, first, columns);
      return;
    }
    for (std::int64_t row = end - 1; row >= begin; --row) {
      const double pivot = *at(row, row);
      for (std::int64_t c = first; c < first + columns; ++c) *at(row, c) /= pivot;
      subtract(begin, row, row, row + 1, first, columns);
    }
  }

  double* matrix_;
  std::int64_t size_;
};

// Columns [begin, end) of some rows Y of the inverse in Y L = I, those behind being known: halved until few are left.
void substitute(const double* lower, std::int64_t size, std::int64_t begin, std::int64_t end, double* y,
                std::int64_t rows, std::int64_t stride) {
  if (end - begin > kLeaf) {
    const std::int64_t middle = begin + (end - begin) / 2;
    substitute(lower, size, middle, end, y, rows, stride);
    const UpdateShape before{rows, middle - begin, end - middle, stride, stride, size};
    subtract_products(y + begin, y + middle, lower + middle * size + begin, before);
    substitute(lower, size, begin, middle, y, rows, stride);
    return;
  }
  for (std::int64_t column = end - 1; column >= begin; --column) {
    for (std::int64_t row = 0; row < rows; ++row) y[row * stride + column] /= lower[column * size + column];
    const UpdateShape one{rows, column - begin, 1, stride, stride, size};
    subtract_products(y + begin, y + column, lower + column * size + begin, one);
  }
}

// Some rows of L^-1. L, below the diagonal of `matrix` and on it, is needed by other rows: they become columns above
// the diagonal, and `diagonal`.
void invert_rows(double* matrix, std::int64_t size, std::int64_t begin, std::int64_t end, double* diagonal) {
  const std::int64_t rows = end - begin;
  std::vector<double> y(static_cast<std::size_t>(rows * end));
  for (std::int64_t r = 0; r < rows; ++r) y[static_cast<std::size_t>(r * end + begin + r)] = 1.0;
  substitute(matrix, size, 0, end, y.data(), rows, end);
  for (std::int64_t r = 0; r < rows; ++r) diagonal[begin + r] = y[static_cast<std::size_t>(r * end + begin + r)];
  for (std::int64_t c = 0; c < end; ++c) {
    for (std::int64_t r = std::max<std::int64_t>(0, c + 1 - begin); r < rows; ++r) {
      matrix[c * size + begin + r] = y[static_cast<std::size_t>(r * end + c)];
    }
  }
}

}  // namespace

bool invert_factor_in_place(at::Tensor& matrix) {
  const std::int64_t size = matrix.size(0);
  double* values = mutable_values_of<double>(matrix).data();
  if (!LowerFactor(values, size).make()) return false;
  std::vector<double> diagonal(static_cast<std::size_t>(size));
  const std::int64_t height = block_rows(size);
  const std::int64_t blocks = ceil_divide(size, height);
  const auto numbers = static_cast<double>(size);
  // The longest rows first.
  for_each_unit(blocks, numbers * numbers * numbers, [&](std::int64_t unit) {
    const std::int64_t begin = (blocks - 1 - unit) * height;
    invert_rows(values, size, begin, std::min(begin + height, size), diagonal.data());
  });
  for (std::int64_t row = 0; row < size; ++row) {
    std::fill_n(values + row * size, row, 0.0);
    values[row * size + row] = diagonal[static_cast<std::size_t>(row)];
  }
  return all_finite(matrix);
}

std::optional<at::Tensor> inverse_factor(const at::Tensor& matrix) {
  at::Tensor result = matrix.contiguous().clone();
  if (!invert_factor_in_place(result)) return std::nullopt;
  return result;
}

at::Tensor damped_inverse_factor(const std::function<at::Tensor()>& hessian, double mean_diagonal, double damping,
                                 const std::string& layer,
                                 const std::function<void(std::string_view, double)>& report) {
  for (double share = damping;;) {
    at::Tensor damped = hessian();
    damped.diagonal().add_(share * mean_diagonal);
    if (damped.is_cpu()) {
      if (invert_factor_in_place(damped)) return damped;
    } else if (std::optional<at::Tensor> factor = inverse_upper_factor(std::move(damped))) {
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
