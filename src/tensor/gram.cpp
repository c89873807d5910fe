#include "lowbit/tensor/gram.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/ceil_divide.h"
#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "tensor/aligned_buffer.h"
#include "tensor/alignment.h"
#include "tensor/float_panels.h"
#include "tensor/threads.h"

namespace lowbit {
namespace {

// Rows of one float32 product: its rounding error grows with their number, the cost of adding up in float64 shrinks.
constexpr std::int64_t kChunkRows = 512;
// A block of the result is one thread's work: 256 KiB of float32 beside 512 KiB of float64.
constexpr std::int64_t kBlock = 256;
// With panels: 96 rows, whose 192 KiB of input stay in the second-level cache, by 256 columns.
constexpr std::int64_t kUnitRows = 16 * kPanelRows;
constexpr std::int64_t kUnitColumns = 16 * kPanelColumns;
constexpr std::int64_t kMirrorBlock = 32;
constexpr std::int64_t kDeviceRows = 512;

at::Tensor as_rows(const at::Tensor& x) {
  if (x.dim() != 2) fail(ErrorCode::kInternal, "gram: expected [tokens, n], got {}", shape_text(shape_of(x)));
  return x.is_cpu() ? aligned_contiguous(x.to(at::kFloat)) : x.to(at::kFloat);
}

double work_of(const at::Tensor& x, const at::Tensor& y) {
  return static_cast<double>(x.numel()) * static_cast<double>(y.size(1));
}

// sums[row + i, column + j] += part[i, j]
void add_part(const float* part, std::int64_t rows, std::int64_t columns, std::int64_t part_stride, double* target,
              std::int64_t stride) {
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) target[i * stride + j] += part[i * part_stride + j];
  }
}

// Some rows of both inputs, whose product is added to `sums` [x.size(1), y.size(1)]. With `lower`, what lies above the
// diagonal is left undefined.
struct Chunk {
  at::Tensor x;  // [rows, n] float32
  at::Tensor y;  // [rows, m]
  bool lower;
};

void add_by_library(const Chunk& chunk, at::Tensor& sums) {
  const std::int64_t stride = sums.size(1);
  double* target = sums.mutable_data_ptr<double>();
  std::vector<std::pair<std::int64_t, std::int64_t>> blocks;
  for (std::int64_t i = 0; i < chunk.x.size(1); i += kBlock) {
    for (std::int64_t j = 0; j < (chunk.lower ? i + 1 : chunk.y.size(1)); j += kBlock) blocks.emplace_back(i, j);
  }
  for_each_unit(static_cast<std::int64_t>(blocks.size()), work_of(chunk.x, chunk.y), [&](std::int64_t unit) {
    const NoGradScope no_grad;
    const auto [row, column] = blocks[static_cast<std::size_t>(unit)];
    const std::int64_t rows = std::min(kBlock, chunk.x.size(1) - row);
    const std::int64_t columns = std::min(kBlock, chunk.y.size(1) - column);
    const at::Tensor product = at::mm(chunk.x.narrow(1, row, rows).t(), chunk.y.narrow(1, column, columns));
    add_part(product.const_data_ptr<float>(), rows, columns, columns, target + row * stride + column, stride);
  });
}

using PackColumns = void (*)(const float*, std::int64_t, std::int64_t, std::int64_t, float*);

AlignedBuffer pack(const at::Tensor& matrix, std::int64_t width, PackColumns pack_columns) {
  const std::int64_t depth = matrix.size(0);
  const std::int64_t columns = matrix.size(1);
  const float* source = matrix.const_data_ptr<float>();
  AlignedBuffer panels(ceil_divide(columns, width) * width * depth);
  for_each_unit(ceil_divide(columns, width), kPackingWork * static_cast<double>(matrix.numel()),
                [&](std::int64_t panel) {
                  const std::int64_t column = panel * width;
                  pack_columns(source + column, columns, std::min(width, columns - column), depth,
                               panels.data() + column * depth);
                });
  return panels;
}

// Tiles begin on multiples of their height and width, so that each element is one chain over the chunk's rows.
void add_by_panels(const Chunk& chunk, at::Tensor& sums) {
  const AlignedBuffer left = pack(chunk.x, kPanelRows, pack_left_columns);
  const AlignedBuffer right = pack(chunk.y, kPanelColumns, pack_right_columns);
  const std::int64_t depth = chunk.x.size(0);
  const std::int64_t stride = sums.size(1);
  double* target = sums.mutable_data_ptr<double>();
  const PanelKernel& kernel = panel_kernel();
  const std::int64_t tile_rows = kernel.row_panels * kPanelRows;
  const std::int64_t tile_columns = kernel.column_panels * kPanelColumns;
  const auto run_tile = [&](std::int64_t row, std::int64_t column) {
    const std::int64_t rows = std::min(tile_rows, chunk.x.size(1) - row);
    const std::int64_t columns = std::min(tile_columns, stride - column);
    float part[kMostTileRows * kMostTileColumns];
    kernel.multiply({.left = left.data() + row * depth,
                     .right = right.data() + column * depth,
                     .depth = depth,
                     .target = part,
                     .target_stride = kMostTileColumns,
                     .start = nullptr,
                     .resume = false,
                     .row_panels = ceil_divide(rows, kPanelRows),
                     .column_panels = ceil_divide(columns, kPanelColumns),
                     .left_stride = kPanelRows * depth,
                     .right_stride = kPanelColumns * depth});
    add_part(part, rows, columns, kMostTileColumns, target + row * stride + column, stride);
  };
  const std::int64_t row_blocks = ceil_divide(chunk.x.size(1), kUnitRows);
  const std::int64_t column_blocks = ceil_divide(stride, kUnitColumns);
  for_each_unit(row_blocks * column_blocks, work_of(chunk.x, chunk.y), [&](std::int64_t unit) {
    const std::int64_t row_begin = unit / column_blocks * kUnitRows;
    const std::int64_t row_end = std::min(row_begin + kUnitRows, chunk.x.size(1));
    const std::int64_t column_begin = unit % column_blocks * kUnitColumns;
    for (std::int64_t c = column_begin; c < std::min(column_begin + kUnitColumns, stride); c += tile_columns) {
      for (std::int64_t r = row_begin; r < row_end; r += tile_rows) {
        if (!chunk.lower || c < r + tile_rows) run_tile(r, c);
      }
    }
  });
}

// On another device than the CPU the chunks' products meet there, in float64 and in order, before they come to the
// sums.
void add_from_device(const at::Tensor& x, const at::Tensor& y, at::Tensor& sums) {
  at::Tensor term;
  for (std::int64_t begin = 0; begin < x.size(0); begin += kChunkRows) {
    const std::int64_t count = std::min(kChunkRows, x.size(0) - begin);
    const at::Tensor product = at::mm(x.narrow(0, begin, count).t(), y.narrow(0, begin, count));
    term = term.defined() ? term.add_(product) : product.to(at::kDouble);
  }
  if (term.defined()) sums.add_(term.to(sums.device()));
}

// Adds the products of all chunks, in the order of the chunks.
void add_products(const at::Tensor& x, const at::Tensor& y, bool lower, at::Tensor& sums) {
  if (!x.is_cpu()) return add_from_device(x, y, sums);
  for (std::int64_t begin = 0; begin < x.size(0); begin += kChunkRows) {
    const std::int64_t count = std::min(kChunkRows, x.size(0) - begin);
    const Chunk chunk{x.narrow(0, begin, count), y.narrow(0, begin, count), lower};
    if (float_panels_available()) {
      add_by_panels(chunk, sums);
    } else {
      add_by_library(chunk, sums);
    }
  }
}

// By rows, so that nothing else becomes as large as the matrix.
void mirror_on_device(at::Tensor& matrix) {
  const std::int64_t n = matrix.size(0);
  for (std::int64_t begin = 0; begin < n; begin += kDeviceRows) {
    const std::int64_t count = std::min(kDeviceRows, n - begin);
    const at::Tensor rows = matrix.narrow(0, begin, count);
    const at::Tensor square = rows.narrow(1, begin, count);
    square.copy_(square.tril().add_(square.tril(-1).t()));
    const std::int64_t end = begin + count;
    rows.narrow(1, end, n - end).copy_(matrix.narrow(0, end, n - end).narrow(1, begin, count).t());
  }
}

}  // namespace

void mirror_lower_triangle(at::Tensor& matrix) {
  if (!matrix.is_cpu()) return mirror_on_device(matrix);
  const std::int64_t n = matrix.size(0);
  double* data = matrix.mutable_data_ptr<double>();
  const std::int64_t blocks = ceil_divide(n, kMirrorBlock);
  // Square by square: a column read from top to bottom touches a cache line for each of its elements.
  for_each_unit(blocks, 4.0 * static_cast<double>(n) * static_cast<double>(n), [&](std::int64_t block) {
    const std::int64_t top = block * kMirrorBlock;
    const std::int64_t bottom = std::min(n, top + kMirrorBlock);
    for (std::int64_t left = top; left < n; left += kMirrorBlock) {
      for (std::int64_t i = top; i < bottom; ++i) {
        for (std::int64_t j = std::max(left, i + 1); j < std::min(n, left + kMirrorBlock); ++j) {
          data[i * n + j] = data[j * n + i];
        }
      }
    }
  });
}

void add_gram(at::Tensor& sums, const at::Tensor& x) {
  const NoGradScope no_grad;
  const at::Tensor rows = as_rows(x);
  LOWBIT_ASSERT(sums.is_contiguous() && sums.scalar_type() == at::kDouble && sums.dim() == 2 &&
                sums.size(0) == rows.size(1) && sums.size(1) == rows.size(1));
  if (rows.size(0) <= kChunkRows || !rows.is_cpu()) return add_products(rows, rows, true, sums);
  at::Tensor term = make_zeros({rows.size(1), rows.size(1)}, DType::kFloat64);
  add_products(rows, rows, true, term);
  sums.add_(term);
}

at::Tensor gram(const at::Tensor& x) {
  const NoGradScope no_grad;
  const at::Tensor rows = as_rows(x);
  at::Tensor sums = make_zeros({rows.size(1), rows.size(1)}, DType::kFloat64);
  add_gram(sums, rows);
  mirror_lower_triangle(sums);
  return sums;
}

void add_cross_gram(at::Tensor& sums, const at::Tensor& x, const at::Tensor& y) {
  const NoGradScope no_grad;
  const at::Tensor left = as_rows(x);
  const at::Tensor right = as_rows(y.to(x.device()));
  if (left.size(0) != right.size(0)) {
    fail(ErrorCode::kInternal, "cross_gram: {} rows against {}", left.size(0), right.size(0));
  }
  LOWBIT_ASSERT(sums.is_contiguous() && sums.scalar_type() == at::kDouble && sums.dim() == 2 &&
                sums.size(0) == left.size(1) && sums.size(1) == right.size(1));
  if (left.size(0) <= kChunkRows || !left.is_cpu()) return add_products(left, right, false, sums);
  at::Tensor term = make_zeros({left.size(1), right.size(1)}, DType::kFloat64);
  add_products(left, right, false, term);
  sums.add_(term);
}

at::Tensor cross_gram(const at::Tensor& x, const at::Tensor& y) {
  at::Tensor sums = make_zeros({x.size(-1), y.size(-1)}, DType::kFloat64);
  add_cross_gram(sums, x, y);
  return sums;
}

}  // namespace lowbit
