#include "quantization/driver/layer_error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iterator>
#include <vector>

#include "lowbit/tensor/parallel.h"
#include "quantization/solvers/layers.h"

namespace lowbit {
namespace {

using testing::correlated_inputs;
using testing::hessian_statistics;
using testing::normal_matrix;

double trace_of(const at::Tensor& difference, const at::Tensor& hessian) {
  const at::Tensor d = to_dtype(difference, DType::kFloat64);
  return d.matmul(hessian).mul(d).sum().item<double>();
}

// More columns than the slices of the Hessian have rows.
TEST(OutputNorms, EqualTheirDefinition) {
  constexpr std::int64_t kColumns = 900;
  const Statistics statistics = hessian_statistics(correlated_inputs(300, kColumns, "errors"));
  const at::Tensor weight = normal_matrix(20, kColumns, "weight");
  const at::Tensor solved = weight + normal_matrix(20, kColumns, "solved") * 0.1;
  const at::Tensor nearest = weight + normal_matrix(20, kColumns, "nearest") * 0.2;
  const at::Tensor matrices[] = {weight, weight - solved, weight - nearest};
  const std::vector<double> norms = output_norms(matrices, statistics);
  ASSERT_EQ(norms.size(), std::size(matrices));
  // Products of 900 float32 numbers: relative rounding below 900 * 2^-24, and the square root halves it.
  for (std::size_t i = 0; i < norms.size(); ++i) {
    EXPECT_NEAR(norms[i] / std::sqrt(trace_of(matrices[i], statistics.hessian())), 1, 1e-4) << i;
  }
}

TEST(OutputNorms, DoNotDependOnThreads) {
  const Statistics statistics = hessian_statistics(correlated_inputs(64, 400, "errors"));
  const at::Tensor weight[] = {normal_matrix(333, 400, "weight")};
  const int threads = thread_count();
  set_thread_count(1);
  const std::vector<double> one = output_norms(weight, statistics);
  const double error = relative_error(weight[0], weight[0].round());
  set_thread_count(2);
  EXPECT_EQ(output_norms(weight, statistics), one);
  EXPECT_EQ(relative_error(weight[0], weight[0].round()), error);
  set_thread_count(threads);
}

TEST(ShareOf, IsZeroOfNothing) {
  EXPECT_EQ(share_of(0, 0), 0);
  EXPECT_EQ(share_of(1, 4), 0.25);
}

TEST(RelativeError, IsTheShareOfTheNorm) {
  const at::Tensor weight = normal_matrix(20, 30, "weight");
  EXPECT_NEAR(relative_error(weight, weight * 1.25), 0.25, 1e-6);
  EXPECT_EQ(relative_error(weight * 0, weight * 0), 0);
}

// Rows that do not fill lanes, and outliers in the place of codes.
TEST(RelativeError, OfAWeightOnAGridIsThatOfItsNumbers) {
  constexpr std::int64_t kRows = 70;
  constexpr std::int64_t kColumns = 93;
  const at::Tensor weight = normal_matrix(kRows, kColumns, "weight");
  GridSpec grid;
  grid.group = 32;
  QuantizedWeight solved = quantize_to_nearest(weight, grid);
  solved.outliers =
      SparseOutliers{tensor_of(std::vector<std::int32_t>{0, 3, 3, 69}),
                     tensor_of(std::vector<std::int32_t>{92, 0, 40, 7}), tensor_of(std::vector<float>{1, -2, 0.5, 4})};
  RowErrors errors(kRows);
  errors.add(0, weight, solved);
  const at::Tensor exact = to_dtype(weight, DType::kFloat64);
  const at::Tensor change = to_dtype(weight - solved.dequantize(), DType::kFloat64);
  EXPECT_NEAR(errors.relative(), change.norm().item<double>() / exact.norm().item<double>(), 1e-12);
  EXPECT_EQ(errors.relative(), relative_error(weight, solved.dequantize()));
}

}  // namespace
}  // namespace lowbit
