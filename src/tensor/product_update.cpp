#include "tensor/product_update.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/avx2.h"
#include "tensor/float_panels.h"

namespace lowbit {
namespace {

static_assert(kMostTileColumns == 2 * kPanelColumns);

// So much is packed at a time: 192 KiB of doubles on the left and 256 on the right stay in the second-level cache. Rows
// of `right` are read in pieces that are worth fetching ahead.
constexpr std::int64_t kRows = 16 * kMostTileRows;
constexpr std::int64_t kDepth = 128;
constexpr std::int64_t kColumns = 256;
constexpr std::int64_t kLeastDepth = 8;  // below it, packing does not pay

// Where an element of `left` lies.
struct LeftSteps {
  std::int64_t row;
  std::int64_t k;
};

// target - left right, element by element.
template <typename Number, typename Step>
[[gnu::always_inline]] inline void update_plainly(Number* target, const Number* left, LeftSteps steps,
                                                  const Number* right, const UpdateShape& shape, const Step& step) {
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    Number* row = target + r * shape.target_stride;
    for (std::int64_t k = 0; k < shape.depth; ++k) {
      const Number factor = left[r * steps.row + k * steps.k];
      const Number* source = right + k * shape.right_stride;
      for (std::int64_t c = 0; c < shape.columns; ++c) row[c] = step(factor, source[c], row[c]);
    }
  }
}

template <typename Number>
LOWBIT_AVX2 void update_fused(Number* target, const Number* left, LeftSteps steps, const Number* right,
                              const UpdateShape& shape) {
  update_plainly(
      target, left, steps, right, shape,
      [](Number a, Number b, Number sum) __attribute__((always_inline)) { return std::fma(-a, b, sum); });
}

// `rows` of left, negated, as panels [depth][kPanelRows] one behind the other; rows that are not there become zeros.
template <typename Number>
void pack_negated(const Number* left, LeftSteps steps, std::int64_t rows, std::int64_t depth, Number* panels) {
  for (std::int64_t first = 0; first < rows; first += kPanelRows, panels += kPanelRows * depth) {
    const std::int64_t count = std::min(kPanelRows, rows - first);
    if (count < kPanelRows) std::fill_n(panels, kPanelRows * depth, Number{0});
    for (std::int64_t r = 0; r < count; ++r) {
      const Number* row = left + (first + r) * steps.row;
      for (std::int64_t k = 0; k < depth; ++k) panels[k * kPanelRows + r] = -row[k * steps.k];
    }
  }
}

// Rows of `right` as panels [depth][width] one behind the other; columns that are not there become zeros.
template <typename Number>
void pack(const Number* right, std::int64_t stride, std::int64_t columns, std::int64_t depth, std::int64_t width,
          Number* panels) {
  constexpr std::int64_t kHalf = kPanelColumnsOf<Number>;
  const std::int64_t whole = columns / width * width;
  if (whole < columns) std::fill_n(panels + whole * depth, width * depth, Number{0});
  for (std::int64_t k = 0; k < depth; ++k) {
    const Number* row = right + k * stride;
    Number* place = panels + k * width;
    for (std::int64_t c = 0; c < whole; c += width) {
      for (std::int64_t half = 0; half < width; half += kHalf) {  // of a size that the compiler knows
        std::memcpy(place + c * depth + half, row + c + half, kHalf * sizeof(Number));
      }
    }
    std::copy_n(row + whole, columns - whole, place + whole * depth);
  }
}

// Some rows, some depth and some columns, by tiles that go on from what is in the target.
template <typename Number>
class PanelUpdate {
 public:
  PanelUpdate(const PanelKernel& kernel, const UpdateShape& shape) : kernel_(kernel), shape_(shape) {}

  void pack_left(const Number* left, LeftSteps steps) { pack_negated(left, steps, shape_.rows, shape_.depth, left_); }

  // Columns of the target and of `right`, at most kColumns.
  void run(Number* target, const Number* right, std::int64_t columns) {
    pack(right, shape_.right_stride, columns, shape_.depth, tile_columns_, right_);
    for (std::int64_t c = 0; c < columns; c += tile_columns_) {
      for (std::int64_t r = 0; r < shape_.rows; r += tile_rows_) {
        run_tile(target + r * shape_.target_stride + c, r, c, std::min(tile_columns_, columns - c));
      }
    }
  }

 private:
  static constexpr std::int64_t kPanel = kPanelColumnsOf<Number>;

  void run_tile(Number* target, std::int64_t row, std::int64_t column, std::int64_t columns) {
    const std::int64_t rows = std::min(tile_rows_, shape_.rows - row);
    const bool whole = columns == tile_columns_ && rows % kPanelRows == 0;
    PanelTileOf<Number> tile{};
    tile.left = left_ + row * shape_.depth;
    tile.right = right_ + column * shape_.depth;
    tile.depth = shape_.depth;
    tile.target = whole ? target : edge_;
    tile.target_stride = whole ? shape_.target_stride : tile_columns_;
    tile.resume = true;
    tile.row_panels = (rows + kPanelRows - 1) / kPanelRows;
    tile.column_panels = kernel_.column_panels;
    tile.left_stride = kPanelRows * shape_.depth;
    tile.right_stride = kPanel;
    tile.right_step = tile_columns_;
    if (whole) return multiply(tile);
    // A tile that sticks out runs beside the matrix.
    for (std::int64_t i = 0; i < rows; ++i) {
      std::copy_n(target + i * shape_.target_stride, columns, edge_ + i * tile_columns_);
    }
    multiply(tile);
    for (std::int64_t i = 0; i < rows; ++i) {
      std::copy_n(edge_ + i * tile_columns_, columns, target + i * shape_.target_stride);
    }
  }

  void multiply(const PanelTileOf<Number>& tile) const {
    if constexpr (sizeof(Number) == sizeof(float)) {
      kernel_.multiply(tile);
    } else {
      kernel_.multiply_doubles(tile);
    }
  }

  const PanelKernel& kernel_;
  const UpdateShape& shape_;
  const std::int64_t tile_rows_ = kernel_.row_panels * kPanelRows;
  const std::int64_t tile_columns_ = kernel_.column_panels * kPanel;
  alignas(64) Number left_[kRows * kDepth];
  alignas(64) Number right_[kDepth * kColumns];
  alignas(64) Number edge_[kMostTileRows * 2 * kPanel];
};

template <typename Number>
void update(Number* target, const Number* left, LeftSteps steps, const Number* right, const UpdateShape& shape) {
  if (!float_panels_available()) {
    return update_plainly(target, left, steps, right, shape,
                          [](Number a, Number b, Number sum) { return sum - a * b; });
  }
  if (shape.depth < kLeastDepth || shape.columns < kPanelColumnsOf<Number>) {
    return update_fused(target, left, steps, right, shape);
  }
  for (std::int64_t r = 0; r < shape.rows; r += kRows) {
    for (std::int64_t k = 0; k < shape.depth; k += kDepth) {
      UpdateShape part = shape;
      part.rows = std::min(kRows, shape.rows - r);
      part.depth = std::min(kDepth, shape.depth - k);
      PanelUpdate<Number> panels(panel_kernel(), part);
      panels.pack_left(left + r * steps.row + k * steps.k, steps);
      for (std::int64_t c = 0; c < shape.columns; c += kColumns) {
        panels.run(target + r * shape.target_stride + c, right + k * shape.right_stride + c,
                   std::min(kColumns, shape.columns - c));
      }
    }
  }
}

}  // namespace

void subtract_products(float* target, const float* left, const float* right, const UpdateShape& shape) {
  update(target, left, {shape.left_stride, 1}, right, shape);
}

void subtract_products(double* target, const double* left, const double* right, const UpdateShape& shape) {
  update(target, left, {shape.left_stride, 1}, right, shape);
}

void subtract_transposed_products(double* target, const double* left, const double* right, const UpdateShape& shape) {
  update(target, left, {1, shape.left_stride}, right, shape);
}

}  // namespace lowbit
