#include "quantization/solvers/column_update.h"

#include <algorithm>
#include <cstring>

#include "base/every_isa.h"

namespace lowbit {
namespace {

constexpr std::int64_t kTileRows = 4;
constexpr std::int64_t kVectorBytes = 32;
constexpr std::int64_t kPackedDepth = 128;  // 8 KiB of `right` at a time

// Four rows by two vectors: eight accumulators that stay in registers while k runs.
template <typename Number>
[[gnu::always_inline]] inline void update_tile(Number* target, const Number* left, const Number* right,
                                               const UpdateShape& shape) {
  typedef Number Vector __attribute__((vector_size(kVectorBytes), aligned(alignof(Number)), may_alias));
  constexpr std::int64_t kLanes = kVectorBytes / static_cast<std::int64_t>(sizeof(Number));
  Vector sums[kTileRows][2];
  for (std::int64_t r = 0; r < kTileRows; ++r) {
    const Number* row = target + r * shape.target_stride;
    sums[r][0] = *reinterpret_cast<const Vector*>(row);
    sums[r][1] = *reinterpret_cast<const Vector*>(row + kLanes);
  }
  for (std::int64_t k = 0; k < shape.depth; ++k) {
    const Number* row = right + k * shape.right_stride;
    const Vector first = *reinterpret_cast<const Vector*>(row);
    const Vector second = *reinterpret_cast<const Vector*>(row + kLanes);
#pragma GCC unroll 4
    for (std::int64_t r = 0; r < kTileRows; ++r) {
      const Number factor = left[r * shape.left_stride + k];
      sums[r][0] -= factor * first;
      sums[r][1] -= factor * second;
    }
  }
  for (std::int64_t r = 0; r < kTileRows; ++r) {
    Number* row = target + r * shape.target_stride;
    *reinterpret_cast<Vector*>(row) = sums[r][0];
    *reinterpret_cast<Vector*>(row + kLanes) = sums[r][1];
  }
}

// What is left beside the tiles.
template <typename Number>
[[gnu::always_inline]] inline void update_rest(Number* target, const Number* left, const Number* right,
                                               const UpdateShape& shape, std::int64_t row_begin, std::int64_t row_end,
                                               std::int64_t column_begin, std::int64_t column_end) {
  for (std::int64_t r = row_begin; r < row_end; ++r) {
    Number* row = target + r * shape.target_stride;
    for (std::int64_t k = 0; k < shape.depth; ++k) {
      const Number factor = left[r * shape.left_stride + k];
      const Number* source = right + k * shape.right_stride;
      for (std::int64_t c = column_begin; c < column_end; ++c) row[c] -= factor * source[c];
    }
  }
}

// A tile's part of `right`, row after row: where it lies, rows a power of two apart would share a few cache sets.
template <typename Number>
[[gnu::always_inline]] inline void pack(const Number* right, std::int64_t depth, std::int64_t stride,
                                        std::int64_t columns, Number* packed) {
  for (std::int64_t k = 0; k < depth; ++k)
    std::memcpy(packed + k * columns, right + k * stride, static_cast<std::size_t>(columns) * sizeof(Number));
}

template <typename Number>
[[gnu::always_inline]] inline void update(Number* target, const Number* left, const Number* right,
                                          const UpdateShape& shape) {
  constexpr std::int64_t kTileColumns = 2 * kVectorBytes / static_cast<std::int64_t>(sizeof(Number));
  const std::int64_t rows = shape.rows / kTileRows * kTileRows;
  const std::int64_t columns = shape.columns / kTileColumns * kTileColumns;
  const bool worth_packing = shape.rows >= 4 * kTileRows && shape.depth >= 8;
  alignas(64) Number packed[kPackedDepth * kTileColumns];
  for (std::int64_t c = 0; c < columns; c += kTileColumns) {
    for (std::int64_t k = 0; k < shape.depth; k += kPackedDepth) {
      UpdateShape part = shape;
      part.depth = std::min(kPackedDepth, shape.depth - k);
      const Number* source = right + k * shape.right_stride + c;
      if (worth_packing) {
        pack(source, part.depth, shape.right_stride, kTileColumns, packed);
        source = packed;
        part.right_stride = kTileColumns;
      }
      for (std::int64_t r = 0; r < rows; r += kTileRows) {
        update_tile(target + r * shape.target_stride + c, left + r * shape.left_stride + k, source, part);
      }
    }
  }
  update_rest(target, left, right, shape, 0, rows, columns, shape.columns);
  update_rest(target, left, right, shape, rows, shape.rows, 0, shape.columns);
}

}  // namespace

LOWBIT_EVERY_ISA
void subtract_products(float* target, const float* left, const float* right, const UpdateShape& shape) {
  update(target, left, right, shape);
}

LOWBIT_EVERY_ISA
void subtract_products(double* target, const double* left, const double* right, const UpdateShape& shape) {
  update(target, left, right, shape);
}

}  // namespace lowbit
