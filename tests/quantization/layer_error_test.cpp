#include "quantization/driver/layer_error.h"

#include <gtest/gtest.h>

#include <cmath>

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
TEST(OutputError, EqualsItsDefinition) {
  constexpr std::int64_t kColumns = 900;
  const Statistics statistics = hessian_statistics(correlated_inputs(300, kColumns, "errors"));
  const at::Tensor weight = normal_matrix(20, kColumns, "weight");
  const at::Tensor solved = weight + normal_matrix(20, kColumns, "solved") * 0.1;
  const at::Tensor nearest = weight + normal_matrix(20, kColumns, "nearest") * 0.2;
  const OutputError error(weight, statistics);
  const at::Tensor hessian = statistics.hessian();
  const double whole = trace_of(weight, hessian);
  // Products of 900 float32 numbers: relative rounding below 900 * 2^-24, and the square root halves it.
  EXPECT_NEAR(error.of(solved) / std::sqrt(trace_of(weight - solved, hessian) / whole), 1, 1e-4);
  EXPECT_NEAR(error.of(nearest) / std::sqrt(trace_of(weight - nearest, hessian) / whole), 1, 1e-4);
}

TEST(RelativeError, IsTheShareOfTheNorm) {
  const at::Tensor weight = normal_matrix(20, 30, "weight");
  EXPECT_NEAR(relative_error(weight, weight * 1.25), 0.25, 1e-6);
  EXPECT_EQ(relative_error(weight * 0, weight * 0), 0);
}

}  // namespace
}  // namespace lowbit
