#include "quantization/driver/layer_error.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/every_isa.h"
#include "formats/row_decoder.h"
#include "lowbit/base/error.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
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
constexpr std::int64_t kLanes = 16;

double sum_of(std::span<const double> numbers) {
  double sum = 0;
  for (const double number : numbers) sum += number;
  return sum;
}

// Four numbers at once, which every instruction set turns well from float32 into float64.
using Floats = float __attribute__((vector_size(16)));
using Doubles = double __attribute__((vector_size(32)));
constexpr std::int64_t kVectors = kLanes / 4;

// kLanes sums side by side, to be added up one after the other.
struct LaneSums {
  Doubles sums[kVectors] = {};

  [[gnu::always_inline]] void add(std::int64_t vector, const Doubles& terms) { sums[vector] += terms; }
  [[nodiscard]] double total() const {
    double lanes[kLanes];
    std::memcpy(lanes, sums, sizeof sums);
    return sum_of(lanes);
  }
};

// add(vector, x, y) for each four numbers of both rows, those behind the end zero.
template <typename Add>
[[gnu::always_inline]] inline void for_each_four(const float* a, const float* b, std::int64_t columns, const Add& add) {
  const auto add_lanes = [&](const float* left, const float* right) __attribute__((always_inline)) {
    for (std::int64_t vector = 0; vector < kVectors; ++vector) {
      Floats x;
      Floats y;
      std::memcpy(&x, left + 4 * vector, sizeof x);
      std::memcpy(&y, right + 4 * vector, sizeof y);
      add(vector, x, y);
    }
  };
  const std::int64_t whole = columns / kLanes * kLanes;
  for (std::int64_t c = 0; c < whole; c += kLanes) add_lanes(a + c, b + c);
  if (whole == columns) return;
  float left[kLanes] = {};
  float right[kLanes] = {};
  std::copy(a + whole, a + columns, left);
  std::copy(b + whole, b + columns, right);
  add_lanes(left, right);
}

LOWBIT_EVERY_ISA
double sum_of_products(const float* a, const float* b, std::int64_t columns) {
  LaneSums products;
  for_each_four(
      a, b, columns, [&](std::int64_t vector, const Floats& x, const Floats& y) __attribute__((always_inline)) {
        products.add(vector, __builtin_convertvector(x, Doubles) * __builtin_convertvector(y, Doubles));
      });
  return products.total();
}

// Squares of a row, and of what it changed by.
struct RowSquares {
  double original;
  double change;
};

LOWBIT_EVERY_ISA
RowSquares squares_of_row(const float* original, const float* solved, std::int64_t columns) {
  LaneSums squares;
  LaneSums changes;
  for_each_four(
      original, solved,
      columns, [&](std::int64_t vector, const Floats& x, const Floats& y) __attribute__((always_inline)) {
        const Doubles number = __builtin_convertvector(x, Doubles);
        const Doubles change = __builtin_convertvector(x - y, Doubles);
        squares.add(vector, number * number);
        changes.add(vector, change * change);
      });
  return {squares.total(), changes.total()};
}

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
