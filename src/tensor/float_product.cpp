#include "tensor/float_product.h"

#include <algorithm>

#include "base/ceil_divide.h"
#include "lowbit/tensor/parallel.h"
#include "tensor/aligned_buffer.h"
#include "tensor/float_panels.h"
#include "tensor/threads.h"

namespace lowbit {
namespace {

// A tile's panels of the left side, at most 14 or 28 KiB, stay in the first-level cache while the columns of a unit, at
// most 442 KiB in the second, pass by them.
constexpr std::int64_t kDepthBlock = 576;
constexpr std::int64_t kColumnBlock = 12 * kPanelColumns;
constexpr std::int64_t kRowBlock = 16 * kPanelRows;
// Numbers that are packed at a time, 12 MiB of rows and 14 of columns, unless the product is so deep that these would
// be too few for one packing of the columns to serve, or for all threads to have some.
constexpr std::int64_t kPackedRows = 2048 * 1536;
constexpr std::int64_t kPackedColumns = 6144 * 576;
constexpr std::int64_t kLeastRows = 12 * kRowBlock;
constexpr std::int64_t kUnitsPerThread = 4;

// Packed panels of a wave stand one behind the other, each over the whole depth.
class Wave {
 public:
  Wave(const FloatProduct& product, const float* left, const float* right, std::int64_t row, std::int64_t rows,
       std::int64_t column, std::int64_t columns)
      : product_(product), left_(left), right_(right), row_(row), rows_(rows), column_(column), columns_(columns) {}

  [[nodiscard]] std::int64_t units() const { return row_blocks() * ceil_divide(columns_, kColumnBlock); }

  // Neighbouring units share their columns.
  void run_unit(std::int64_t unit) const {
    const std::int64_t row = unit % row_blocks() * kRowBlock;
    const std::int64_t column = unit / row_blocks() * kColumnBlock;
    const std::int64_t row_end = std::min(rows_, row + kRowBlock);
    const std::int64_t column_end = std::min(columns_, column + kColumnBlock);
    for (std::int64_t k = 0; k < product_.depth; k += depth_block_) {
      for (std::int64_t r = row; r < row_end; r += tile_rows_) {
        for (std::int64_t c = column; c < column_end; c += tile_columns_) run_tile(r, c, k);
      }
    }
  }

 private:
  [[nodiscard]] std::int64_t row_blocks() const { return ceil_divide(rows_, kRowBlock); }

  void run_tile(std::int64_t row, std::int64_t column, std::int64_t k) const {
    const std::int64_t rows = std::min(tile_rows_, rows_ - row);
    const std::int64_t columns = std::min(tile_columns_, columns_ - column);
    PanelTile tile{};
    tile.left = left_ + row * product_.depth + k * kPanelRows;
    tile.right = right_ + column * product_.depth + k * kPanelColumns;
    tile.depth = std::min(depth_block_, product_.depth - k);
    tile.resume = k > 0;
    tile.row_panels = ceil_divide(rows, kPanelRows);
    tile.column_panels = ceil_divide(columns, kPanelColumns);
    tile.left_stride = kPanelRows * product_.depth;
    tile.right_stride = kPanelColumns * product_.depth;
    float* target = product_.out + (row_ + row) * product_.columns + column_ + column;
    const float* bias = product_.bias != nullptr ? product_.bias + column_ + column : nullptr;
    if (rows % kPanelRows == 0 && columns % kPanelColumns == 0) {
      tile.target = target;
      tile.target_stride = product_.columns;
      tile.start = bias;
      kernel_.multiply(tile);
      return;
    }
    run_edge(tile, target, bias, rows, columns);
  }

  // A tile that sticks out runs beside the matrix.
  void run_edge(PanelTile& tile, float* target, const float* bias, std::int64_t rows, std::int64_t columns) const {
    float sums[kMostTileRows * kMostTileColumns] = {};
    float start[kMostTileColumns] = {};
    if (bias != nullptr) std::copy_n(bias, columns, start);
    for (std::int64_t r = 0; tile.resume && r < rows; ++r) {
      std::copy_n(target + r * product_.columns, columns, sums + r * kMostTileColumns);
    }
    tile.target = sums;
    tile.target_stride = kMostTileColumns;
    tile.start = start;
    kernel_.multiply(tile);
    for (std::int64_t r = 0; r < rows; ++r) {
      std::copy_n(sums + r * kMostTileColumns, columns, target + r * product_.columns);
    }
  }

  const PanelKernel& kernel_ = panel_kernel();
  const std::int64_t tile_rows_ = kernel_.row_panels * kPanelRows;
  const std::int64_t tile_columns_ = kernel_.column_panels * kPanelColumns;
  const FloatProduct& product_;
  const std::int64_t depth_block_ = ceil_divide(product_.depth, ceil_divide(product_.depth, kDepthBlock));
  const float* left_;
  const float* right_;
  std::int64_t row_, rows_, column_, columns_;
};

using PackRows = void (*)(const float*, std::int64_t, std::int64_t, std::int64_t, float*);

void pack(const float* matrix, std::int64_t rows, std::int64_t depth, std::int64_t width, PackRows pack_rows,
          float* target) {
  for_each_unit(ceil_divide(rows, width), kPackingWork * static_cast<double>(rows) * static_cast<double>(depth),
                [&](std::int64_t panel) {
                  const std::int64_t row = panel * width;
                  pack_rows(matrix + row * depth, depth, std::min(width, rows - row), depth, target + row * depth);
                });
}

std::int64_t padded(std::int64_t count, std::int64_t width) { return ceil_divide(count, width) * width; }

// Rows and columns of a wave.
std::int64_t wave_rows(const FloatProduct& product) {
  return std::min(product.rows, std::max(kLeastRows, kPackedRows / product.depth));
}
std::int64_t wave_columns(const FloatProduct& product) {
  const std::int64_t row_blocks = ceil_divide(wave_rows(product), kRowBlock);
  const std::int64_t blocks = std::max(ceil_divide(kUnitsPerThread * thread_count(), row_blocks),
                                       kPackedColumns / product.depth / kColumnBlock);
  return std::min(product.columns, blocks * kColumnBlock);
}

}  // namespace

void multiply(const FloatProduct& product) {
  const std::int64_t depth = product.depth;
  const std::int64_t widest_rows = wave_rows(product);
  const std::int64_t widest_columns = wave_columns(product);
  const AlignedBuffer left(padded(widest_rows, kPanelRows) * depth);
  const AlignedBuffer right(padded(widest_columns, kPanelColumns) * depth);
  for (std::int64_t row = 0; row < product.rows; row += widest_rows) {
    const std::int64_t rows = std::min(widest_rows, product.rows - row);
    pack(product.x + row * depth, rows, depth, kPanelRows, pack_left_rows, left.data());
    for (std::int64_t column = 0; column < product.columns; column += widest_columns) {
      const std::int64_t columns = std::min(widest_columns, product.columns - column);
      pack(product.weight + column * depth, columns, depth, kPanelColumns, pack_right_rows, right.data());
      const Wave wave(product, left.data(), right.data(), row, rows, column, columns);
      const double work = static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(depth);
      for_each_unit(wave.units(), work, [&](std::int64_t unit) { wave.run_unit(unit); });
    }
  }
}

}  // namespace lowbit
