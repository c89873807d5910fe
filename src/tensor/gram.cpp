#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/gram.h"
#include "lowbit/tensor/ops.h"
#include "tensor/alignment.h"
#include "tensor/threads.h"

namespace lowbit {
namespace {

// Rows of one float32 product: its rounding error grows with their number, the cost of adding up in float64 shrinks.
constexpr std::int64_t kChunkRows = 512;
// A block of the result is one thread's work: 256 KiB of float32 beside 512 KiB of float64.
constexpr std::int64_t kBlock = 256;

at::Tensor as_rows(const at::Tensor& x) {
  if (x.dim() != 2) fail(ErrorCode::kInternal, "gram: expected [tokens, n], got {}", shape_text(shape_of(x)));
  return aligned_contiguous(x.to(at::kFloat));
}

double work_of(const at::Tensor& x, const at::Tensor& y) {
  return static_cast<double>(x.numel()) * static_cast<double>(y.size(1));
}

// Adds the products of all chunks, summed in the order of the chunks, to sums[row.., column..].
void run_block(const at::Tensor& x, const at::Tensor& y, at::Tensor& sums, std::int64_t row, std::int64_t column) {
  const NoGradScope no_grad;
  const std::int64_t rows = std::min(kBlock, x.size(1) - row);
  const std::int64_t columns = std::min(kBlock, y.size(1) - column);
  at::Tensor product = at::empty({rows, columns}, x.options());
  std::vector<double> block(static_cast<std::size_t>(rows * columns), 0.0);
  for (std::int64_t begin = 0; begin < x.size(0); begin += kChunkRows) {
    const std::int64_t count = std::min(kChunkRows, x.size(0) - begin);
    at::mm_out(product, x.narrow(0, begin, count).narrow(1, row, rows).t(),
               y.narrow(0, begin, count).narrow(1, column, columns));
    const float* part = product.const_data_ptr<float>();
    for (std::size_t i = 0; i < block.size(); ++i) block[i] += part[i];
  }
  const std::int64_t stride = sums.size(1);
  double* target = sums.mutable_data_ptr<double>() + row * stride + column;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j)
      target[i * stride + j] += block[static_cast<std::size_t>(i * columns + j)];
  }
}

void check_sums(const at::Tensor& sums, std::int64_t rows, std::int64_t columns) {
  const bool fits = sums.dim() == 2 && sums.size(0) == rows && sums.size(1) == columns &&
                    sums.scalar_type() == at::kDouble && sums.is_contiguous();
  if (!fits) {
    fail(ErrorCode::kInternal, "gram: sums of shape {}, expected float64 [{}, {}]", shape_text(shape_of(sums)), rows,
         columns);
  }
}

void mirror_lower_triangle(at::Tensor& sums) {
  const std::int64_t n = sums.size(0);
  double* data = sums.mutable_data_ptr<double>();
  for_each_unit((n + kBlock - 1) / kBlock, 4.0 * static_cast<double>(n) * static_cast<double>(n),
                [&](std::int64_t block) {
                  const std::int64_t begin = block * kBlock;
                  for (std::int64_t i = begin; i < std::min(n, begin + kBlock); ++i) {
                    for (std::int64_t j = i + 1; j < n; ++j) data[i * n + j] = data[j * n + i];
                  }
                });
}

}  // namespace

void add_gram(at::Tensor& sums, const at::Tensor& x) {
  const NoGradScope no_grad;
  const at::Tensor rows = as_rows(x);
  check_sums(sums, rows.size(1), rows.size(1));
  const std::int64_t blocks = (rows.size(1) + kBlock - 1) / kBlock;
  std::vector<std::pair<std::int64_t, std::int64_t>> lower;
  for (std::int64_t i = 0; i < blocks; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) lower.emplace_back(i, j);
  }
  for_each_unit(static_cast<std::int64_t>(lower.size()), work_of(rows, rows) / 2, [&](std::int64_t unit) {
    const auto [i, j] = lower[static_cast<std::size_t>(unit)];
    run_block(rows, rows, sums, i * kBlock, j * kBlock);
  });
  mirror_lower_triangle(sums);
}

void add_cross_gram(at::Tensor& sums, const at::Tensor& x, const at::Tensor& y) {
  const NoGradScope no_grad;
  const at::Tensor left = as_rows(x);
  const at::Tensor right = as_rows(y);
  if (left.size(0) != right.size(0)) {
    fail(ErrorCode::kInternal, "cross_gram: {} rows against {}", left.size(0), right.size(0));
  }
  check_sums(sums, left.size(1), right.size(1));
  const std::int64_t row_blocks = (left.size(1) + kBlock - 1) / kBlock;
  const std::int64_t column_blocks = (right.size(1) + kBlock - 1) / kBlock;
  for_each_unit(row_blocks * column_blocks, work_of(left, right), [&](std::int64_t unit) {
    run_block(left, right, sums, unit / column_blocks * kBlock, unit % column_blocks * kBlock);
  });
}

at::Tensor gram(const at::Tensor& x) {
  at::Tensor sums = make_zeros({x.size(-1), x.size(-1)}, DType::kFloat64);
  add_gram(sums, x);
  return sums;
}

at::Tensor cross_gram(const at::Tensor& x, const at::Tensor& y) {
  at::Tensor sums = make_zeros({x.size(-1), y.size(-1)}, DType::kFloat64);
  add_cross_gram(sums, x, y);
  return sums;
}

}  // namespace lowbit
