#include "quantization/driver/layer_error.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "formats/row_decoder.h"
#include "lowbit/base/error.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/driver/lane_sums.h"
#include "tensor/panel_tiles.h"
#include "tensor/product_update.h"
#include "tensor/threads.h"

namespace lowbit {
namespace {

// Columns of the Hessian's triangle that are in memory at a time, on the CPU and on other devices.
constexpr std::int64_t kSlice = 192;
constexpr std::int64_t kDeviceSlice = 1024;
constexpr std::int64_t kRowGrain = 64;
// Rows and columns of a product that stays in the cache until it is summed up.
constexpr std::int64_t kRowBlock = 16 * kMostTileRows;
constexpr std::int64_t kStrip = 1024;

std::span<const float> row_of(const at::Tensor& matrix, std::int64_t row) {
  const auto columns = static_cast<std::size_t>(matrix.size(1));
  return values_of<float>(matrix).subspan(static_cast<std::size_t>(row) * columns, columns);
}

// Rows [first, first + count) of the Hessian from its diagonal on, in float32, with twice the numbers to the right of
// the square on the diagonal, for their mirror images.
at::Tensor slice_of_triangle(const Statistics& statistics, std::int64_t first, std::int64_t count, at::Device device) {
  const std::int64_t width = statistics.channels() - first;
  at::Tensor rows =
      to_dtype(statistics.hessian_rows(first, first + count, device).narrow(1, first, width), DType::kFloat32);
  rows.narrow(1, count, width - count).mul_(2.0);
  return rows.contiguous();
}

// Some rows of a matrix, one behind the other, and the sum that each is to have.
struct RowBlock {
  const float* numbers;
  std::int64_t rows;
  double* sums;
};

// Adds x T x^T for each row x, where T is the slice of `first` and the rows behind it.
void add_forms(const RowBlock& block, const at::Tensor& slice, std::int64_t first, std::int64_t size) {
  const std::int64_t width = slice.size(1);
  std::vector<float> products(static_cast<std::size_t>(block.rows * kStrip));
  for (std::int64_t column = 0; column < width; column += kStrip) {
    const std::int64_t count = std::min(kStrip, width - column);
    std::fill(products.begin(), products.end(), 0.0F);
    const UpdateShape shape{block.rows, count, slice.size(0), kStrip, size, width};
    subtract_products(products.data(), block.numbers + first, values_of<float>(slice).data() + column, shape);
    for (std::int64_t row = 0; row < block.rows; ++row) {
      block.sums[row] -=
          sum_of_products(products.data() + row * kStrip, block.numbers + row * size + first + column, count);
    }
  }
}

std::vector<double> norms_here(std::span<const at::Tensor> matrices, const Statistics& statistics) {
  const std::int64_t size = statistics.channels();
  std::vector<at::Tensor> held;
  std::vector<std::vector<double>> rows;
  std::vector<RowBlock> blocks;
  for (const at::Tensor& matrix : matrices) {
    held.push_back(matrix.contiguous());
    rows.emplace_back(static_cast<std::size_t>(matrix.size(0)));
    for (std::int64_t first = 0; first < matrix.size(0); first += kRowBlock) {
      const std::int64_t count = std::min(kRowBlock, matrix.size(0) - first);
      blocks.push_back({values_of<float>(held.back()).data() + first * size, count, rows.back().data() + first});
    }
  }
  for (std::int64_t first = 0; first < size; first += kSlice) {
    const std::int64_t count = std::min(kSlice, size - first);
    const at::Tensor slice = slice_of_triangle(statistics, first, count, at::kCPU);
    const double work = static_cast<double>(slice.numel() * kRowBlock) * static_cast<double>(blocks.size());
    for_each_unit(static_cast<std::int64_t>(blocks.size()), work,
                  [&](std::int64_t unit) { add_forms(blocks[static_cast<std::size_t>(unit)], slice, first, size); });
  }
  std::vector<double> sums;
  for (const std::vector<double>& terms : rows) sums.push_back(sum_of(terms));
  return sums;
}

// On another device than the CPU: float32 products there, sums in float64.
std::vector<double> norms_elsewhere(std::span<const at::Tensor> matrices, const Statistics& statistics,
                                    at::Device device) {
  const std::int64_t size = statistics.channels();
  std::vector<at::Tensor> there;
  for (const at::Tensor& matrix : matrices) there.push_back(to_place(matrix, DType::kFloat32, device));
  std::vector<double> sums(matrices.size());
  for (std::int64_t first = 0; first < size; first += kDeviceSlice) {
    const std::int64_t count = std::min(kDeviceSlice, size - first);
    const at::Tensor slice = slice_of_triangle(statistics, first, count, device);
    for (std::size_t i = 0; i < matrices.size(); ++i) {
      const at::Tensor behind = there[i].narrow(1, first, size - first);
      const at::Tensor products = linear(behind, slice, {}, true).to(at::kDouble);
      sums[i] += products.mul(behind.narrow(1, 0, count)).sum().item<double>();
    }
  }
  return sums;
}

}  // namespace

double share_of(double part, double whole) { return whole > 0 ? part / whole : 0.0; }

RowErrors::RowErrors(std::int64_t rows)
    : changes_(static_cast<std::size_t>(rows)), squares_(static_cast<std::size_t>(rows)) {}

void RowErrors::add(std::int64_t first, const at::Tensor& original, const at::Tensor& solved) {
  const at::Tensor before = original.contiguous();
  const at::Tensor after = solved.contiguous();
  LOWBIT_ASSERT(before.sizes() == after.sizes());
  parallel_for(before.size(0), kRowGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      add_row(first + row, row_of(before, row), row_of(after, row).data());
    }
  });
}

// Rows are decoded where they stay in the cache, instead of all of them first.
void RowErrors::add(std::int64_t first, const at::Tensor& original, const QuantizedWeight& solved) {
  const at::Tensor before = original.contiguous();
  LOWBIT_ASSERT(before.sizes() == solved.codes.sizes());
  const RowDecoder decoder(solved);
  parallel_for(before.size(0), kRowGrain, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> decoded(static_cast<std::size_t>(before.size(1)));
    for (std::int64_t row = begin; row < end; ++row) {
      decoder.decode(row, decoded.data());
      add_row(first + row, row_of(before, row), decoded.data());
    }
  });
}

void RowErrors::add_row(std::int64_t row, std::span<const float> original, const float* solved) {
  const RowSquares squares = squares_of_row(original.data(), solved, static_cast<std::int64_t>(original.size()));
  const auto place = static_cast<std::size_t>(row);
  changes_[place] = squares.change;
  squares_[place] = squares.original;
}

double RowErrors::relative() const { return share_of(std::sqrt(sum_of(changes_)), std::sqrt(sum_of(squares_))); }

double relative_error(const at::Tensor& original, const at::Tensor& solved) {
  RowErrors errors(original.size(0));
  errors.add(0, original, solved);
  return errors.relative();
}

std::vector<double> output_norms(std::span<const at::Tensor> matrices, const Statistics& statistics,
                                 at::Device device) {
  const NoGradScope no_gradients;
  std::vector<double> norms =
      device.is_cpu() ? norms_here(matrices, statistics) : norms_elsewhere(matrices, statistics, device);
  // Rounding may leave a tiny negative number where the truth is 0.
  for (double& norm : norms) norm = std::sqrt(std::max(norm, 0.0));
  return norms;
}

}  // namespace lowbit
