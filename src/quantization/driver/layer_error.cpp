#include "quantization/driver/layer_error.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

// Columns of the Hessian's triangle that are in memory at a time.
constexpr std::int64_t kSlice = 192;
constexpr std::int64_t kRowGrain = 64;
constexpr std::int64_t kLanes = 8;

// sum over columns of term(a, b), in float64: kLanes sums side by side, then one after the other.
template <typename Term>
double sum_row(const float* a, const float* b, std::int64_t columns, const Term& term) {
  double lanes[kLanes] = {};
  const std::int64_t whole = columns / kLanes * kLanes;
  for (std::int64_t c = 0; c < whole; c += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(a[c + lane], b[c + lane]);
  }
  const std::int64_t rest = std::min(columns - whole, kLanes);
  for (std::int64_t lane = 0; lane < rest; ++lane) lanes[lane] += term(a[whole + lane], b[whole + lane]);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

// Objects rather than functions, so that they become part of the loop.
constexpr auto kProduct = [](float a, float b) { return static_cast<double>(a) * static_cast<double>(b); };
constexpr auto kSquaredDifference = [](float a, float b) {
  const auto difference = static_cast<double>(a - b);
  return difference * difference;
};

double sum_of(std::span<const double> numbers) {
  double sum = 0;
  for (const double number : numbers) sum += number;
  return sum;
}

// work(row) for each row, by all threads.
template <typename Work>
void each_row(std::int64_t rows, const Work& work) {
  parallel_for(rows, kRowGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) work(row);
  });
}

// sum over all elements of a b: rows by themselves, then one after the other. Rows may lie apart.
double sum_of_products(const at::Tensor& a, const at::Tensor& b) {
  LOWBIT_ASSERT(a.stride(1) == 1 && b.stride(1) == 1 && a.sizes() == b.sizes());
  const float* left = a.const_data_ptr<float>();
  const float* right = b.const_data_ptr<float>();
  std::vector<double> rows(static_cast<std::size_t>(a.size(0)));
  each_row(a.size(0), [&](std::int64_t row) {
    rows[static_cast<std::size_t>(row)] =
        sum_row(left + row * a.stride(0), right + row * b.stride(0), a.size(1), kProduct);
  });
  return sum_of(rows);
}

// Rows [first, first + count) of the Hessian from its diagonal on, in float32, with twice the numbers to the right of
// the square on the diagonal, for their mirror images.
at::Tensor slice_of_triangle(const Statistics& statistics, std::int64_t first, std::int64_t count) {
  const std::int64_t width = statistics.channels() - first;
  at::Tensor rows = to_dtype(statistics.hessian_rows(first, first + count).narrow(1, first, width), DType::kFloat32);
  rows.narrow(1, count, width - count).mul_(2.0);
  return rows.contiguous();
}

}  // namespace

double share_of(double part, double whole) { return whole > 0 ? part / whole : 0.0; }

// Both sums of a row while it is in the cache.
double relative_error(const at::Tensor& original, const at::Tensor& solved) {
  const at::Tensor before = original.contiguous();
  const at::Tensor after = solved.contiguous();
  LOWBIT_ASSERT(before.sizes() == after.sizes());
  const std::int64_t columns = before.size(1);
  const float* left = before.const_data_ptr<float>();
  const float* right = after.const_data_ptr<float>();
  std::vector<double> changes(static_cast<std::size_t>(before.size(0)));
  std::vector<double> squares(changes.size());
  each_row(before.size(0), [&](std::int64_t row) {
    const float* own = left + row * columns;
    changes[static_cast<std::size_t>(row)] = sum_row(own, right + row * columns, columns, kSquaredDifference);
    squares[static_cast<std::size_t>(row)] = sum_row(own, own, columns, kProduct);
  });
  return share_of(std::sqrt(sum_of(changes)), std::sqrt(sum_of(squares)));
}

std::vector<double> output_norms(std::span<const at::Tensor> matrices, const Statistics& statistics) {
  const NoGradScope no_gradients;
  const std::int64_t size = statistics.channels();
  std::vector<double> norms(matrices.size());
  for (std::int64_t first = 0; first < size; first += kSlice) {
    const std::int64_t count = std::min(kSlice, size - first);
    const at::Tensor slice = slice_of_triangle(statistics, first, count);
    for (std::size_t i = 0; i < matrices.size(); ++i) {
      const at::Tensor behind = matrices[i].narrow(1, first, size - first);
      norms[i] += sum_of_products(linear(behind, slice, {}, true), behind.narrow(1, 0, count));
    }
  }
  // Rounding may leave a tiny negative number where the truth is 0.
  for (double& norm : norms) norm = std::sqrt(std::max(norm, 0.0));
  return norms;
}

}  // namespace lowbit
