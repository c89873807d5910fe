#include "quantization/solvers/column_sweep.h"

#include <gtest/gtest.h>

#include <limits>

#include "lowbit/tensor/parallel.h"
#include "quantization/solvers/inverse_factor.h"
#include "quantization/solvers/layers.h"
#include "quantization/solvers/rounding.h"

namespace lowbit {
namespace {

using testing::correlated_inputs;
using testing::matrix_of;
using testing::normal_matrix;
using testing::row_losses;
using testing::same_bits;

// A layer whose groups have the scale 1 and the zero 2^(bits - 1), no damping.
struct UnitLayer {
  at::Tensor weight;
  at::Tensor hessian;
  int bits = 2;

  [[nodiscard]] SweepResult solve(std::int64_t block = 128) const {
    const ColumnPlan plan = plan_columns(hessian.diagonal().contiguous(), -1, ColumnOrder::kNatural, false);
    SweepRequest request;
    request.weight = weight;
    request.upper = to_dtype(inverse_factor(hessian).value(), DType::kFloat32);
    request.plan = &plan;
    request.grid.bits = bits;
    request.grid.group = -1;
    request.source = GroupSource::kGiven;
    request.block = block;
    request.given = {make_full({weight.size(0), 1}, 1.0, DType::kFloat32),
                     make_full({weight.size(0), 1}, 1 << (bits - 1), DType::kFloat32),
                     {},
                     {}};
    return sweep_columns(request);
  }
  [[nodiscard]] at::Tensor decoded(const at::Tensor& codes) const {
    return to_dtype(codes, DType::kFloat32) - static_cast<double>(1 << (bits - 1));
  }
  [[nodiscard]] double loss(const at::Tensor& codes) const {
    return row_losses(decoded(codes) - weight, hessian).sum().item<double>();
  }
  // Of all codes of a single row.
  [[nodiscard]] double least_loss() const {
    const std::int64_t columns = weight.size(1);
    double least = std::numeric_limits<double>::infinity();
    for (std::int64_t word = 0; word < std::int64_t{1} << (bits * columns); ++word) {
      std::vector<double> codes;
      for (std::int64_t c = 0; c < columns; ++c)
        codes.push_back(static_cast<double>(word >> (bits * c) & ((1 << bits) - 1)));
      least = std::min(least, loss(matrix_of({codes})));
    }
    return least;
  }
};

at::Tensor floats(const std::vector<std::vector<double>>& rows) { return to_dtype(matrix_of(rows), DType::kFloat32); }

TEST(InverseFactor, IsTheUpperCholeskyFactorOfTheInverse) {
  const at::Tensor u = inverse_factor(matrix_of({{2, 1.8}, {1.8, 2}})).value();
  // U^T U = H^-1 = [[2, -1.8], [-1.8, 2]] / 0.76, so that U00 = sqrt(2 / 0.76), U01 = -1.8 / 0.76 / U00, U11 = 1 /
  // sqrt(2).
  EXPECT_TRUE(u.allclose(matrix_of({{1.6222142, -1.4599928}, {0, 0.70710678}}), 1e-7, 1e-12));
}

TEST(InverseFactor, TimesItsTransposeInvertsMatricesOfManyPanels) {
  for (const std::int64_t size : {1, 8, 9, 95, 96, 97, 200, 400}) {
    const at::Tensor x = to_dtype(correlated_inputs(2 * size + 8, size, "inverse"), DType::kFloat64);
    const at::Tensor matrix = x.t().matmul(x) + make_eye(size, DType::kFloat64) * x.square().mean();
    const at::Tensor u = inverse_factor(matrix).value();
    EXPECT_TRUE(u.equal(u.triu()));
    // Condition numbers here are below 1e5: 1e-16 * 1e5 * size stays under 1e-8.
    EXPECT_TRUE(u.t().matmul(u).matmul(matrix).allclose(make_eye(size, DType::kFloat64), 0, 1e-8)) << size;
  }
}

// U^T U (matrix x) is x again. With numbers of at most 1 the matrix c c^T + D has a condition number below 1e4: 1e-16 *
// 1e4 * sqrt(size) stays under 1e-9.
TEST(InverseFactor, HasTheSameBitsOfALargeMatrixForAnyThreads) {
  constexpr std::int64_t kSize = 3100;
  at::Tensor numbers = to_dtype(correlated_inputs(3, kSize, "large"), DType::kFloat64);
  numbers /= numbers.abs().max();
  const at::Tensor c = numbers.select(0, 0);
  const at::Tensor matrix = c.unsqueeze(1) * c.unsqueeze(0) + numbers.select(0, 1).square().add(0.5).diag();
  const int before = thread_count();
  set_thread_count(2);
  const at::Tensor u = inverse_factor(matrix).value();
  const at::Tensor x = numbers.select(0, 2);
  EXPECT_LE(u.t().mv(u.mv(matrix.mv(x))).sub(x).abs().max().item<double>(), 1e-9);
  set_thread_count(1);
  EXPECT_TRUE(inverse_factor(matrix)->equal(u));
  set_thread_count(before);
}

TEST(InverseFactor, RefusesMatricesThatAreNotDefinite) {
  EXPECT_FALSE(inverse_factor(matrix_of({{1, 2}, {2, 1}})).has_value());
  EXPECT_FALSE(inverse_factor(make_full({3, 3}, std::nan(""), DType::kFloat64)).has_value());
  at::Tensor late = make_eye(200, DType::kFloat64);
  late.select(0, 3).select(0, 3).fill_(-1);
  EXPECT_FALSE(inverse_factor(late).has_value());
}

TEST(DampedInverseFactor, RaisesDampingUntilTheMatrixIsDefinite) {
  // Eigenvalues 3 and -0.1, mean diagonal 1.45: the share must exceed 0.1 / 1.45 = 0.069.
  const at::Tensor matrix = matrix_of({{1.45, 1.55}, {1.55, 1.45}});
  std::vector<double> raised;
  const at::Tensor u = damped_inverse_factor([&] { return matrix.clone(); }, 1.45, 0.001, "layer",
                                             [&](std::string_view what, double value) {
                                               EXPECT_EQ(what, "damping raised");
                                               raised.push_back(value);
                                             });
  EXPECT_EQ(raised, (std::vector<double>{0.01, 0.1}));
  const at::Tensor damped = matrix + make_eye(2, DType::kFloat64) * 0.145;
  EXPECT_TRUE(u.t().matmul(u).matmul(damped).allclose(make_eye(2, DType::kFloat64), 0, 1e-10));
}

TEST(DampedInverseFactor, NamesTheLayerWhenNothingHelps) {
  const at::Tensor matrix = matrix_of({{1, 5}, {5, 1}});
  try {
    (void)damped_inverse_factor([&] { return matrix.clone(); }, 1.0, 0.0, "model.layers.3.mlp.up_proj", {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_STREQ(error.what(),
                 "layer 'model.layers.3.mlp.up_proj': the Hessian is not positive definite even with damping 1; its "
                 "calibration inputs are not usable");
  }
}

TEST(ColumnSweep, FindsTheOptimumThatRoundingMissesInTwoColumns) {
  const UnitLayer layer{floats({{0.4, 0.4}}), matrix_of({{2, 1.8}, {1.8, 2}})};
  const SweepResult result = layer.solve();
  EXPECT_TRUE(result.codes.equal(to_dtype(matrix_of({{2, 3}}), DType::kUInt8)));
  EXPECT_NEAR(layer.loss(matrix_of({{2, 2}})), 1.216, 1e-6);  // rounding to nearest
  EXPECT_NEAR(layer.loss(result.codes), 0.176, 1e-6);
  EXPECT_NEAR(layer.loss(result.codes), layer.least_loss(), 1e-9);
}

TEST(ColumnSweep, FindsTheOptimumThatRoundingMissesInThreeColumns) {
  const UnitLayer layer{floats({{0.3, 0.6, -0.45}}), matrix_of({{2, 1, 0.5}, {1, 2, 1}, {0.5, 1, 2}})};
  const SweepResult result = layer.solve();
  EXPECT_TRUE(result.codes.equal(to_dtype(matrix_of({{2, 3, 1}}), DType::kUInt8)));
  EXPECT_NEAR(layer.loss(matrix_of({{2, 3, 2}})), 0.89, 1e-6);
  EXPECT_NEAR(layer.loss(result.codes), 0.59, 1e-6);
  EXPECT_NEAR(layer.loss(result.codes), layer.least_loss(), 1e-9);
}

TEST(ColumnSweep, IsNeverBetterThanTheBestOfAllCodes) {
  int optimal = 0;
  for (int i = 0; i < 40; ++i) {
    const std::string stream = "brute" + std::to_string(i);
    const at::Tensor x = to_dtype(correlated_inputs(16, 4, stream), DType::kFloat64);
    const UnitLayer layer{normal_matrix(1, 4, stream + "/w"), x.t().matmul(x)};
    const double found = layer.loss(layer.solve().codes);
    const double least = layer.least_loss();
    EXPECT_GE(found, least * (1 - 1e-9));
    if (found <= least * (1 + 1e-9)) ++optimal;
  }
  EXPECT_GE(optimal, 10);  // greedy, but not blind
}

TEST(ColumnSweep, LossAlongTheWayEqualsTheLossOfTheResult) {
  // sum_j ((w_j - q_j) / U_jj)^2 with updated w_j = (w0 - q) H (w0 - q)^T: an identity of Optimal Brain Surgeon.
  const at::Tensor x = to_dtype(correlated_inputs(400, 150, "obs"), DType::kFloat64);
  const at::Tensor hessian = x.t().matmul(x) / 200.0 + make_eye(150, DType::kFloat64) * 0.05;
  const UnitLayer layer{normal_matrix(70, 150, "obs/w"), hessian, 3};
  const SweepResult result = layer.solve();
  const at::Tensor expected = row_losses(layer.decoded(result.codes) - layer.weight, hessian);
  EXPECT_TRUE(result.loss.allclose(expected, 1e-4, 0));
}

TEST(ColumnSweep, BlockSizeChangesNoBit) {
  const at::Tensor x = to_dtype(correlated_inputs(300, 131, "blocks"), DType::kFloat64);
  const UnitLayer layer{normal_matrix(37, 131, "blocks/w"), x.t().matmul(x) + make_eye(131, DType::kFloat64), 3};
  const SweepResult whole = layer.solve(131);
  for (const std::int64_t block : {1, 7, 32, 128}) {
    const SweepResult parts = layer.solve(block);
    EXPECT_TRUE(same_bits(parts.codes, whole.codes)) << block;
    EXPECT_TRUE(same_bits(parts.loss, whole.loss)) << block;
  }
}

TEST(ColumnSweep, ThreadsChangeNoBit) {
  const at::Tensor x = to_dtype(correlated_inputs(300, 140, "threads"), DType::kFloat64);
  const UnitLayer layer{normal_matrix(150, 140, "threads/w"), x.t().matmul(x) + make_eye(140, DType::kFloat64), 3};
  const int before = thread_count();
  set_thread_count(1);
  const SweepResult one = layer.solve();
  set_thread_count(3);
  const SweepResult three = layer.solve();
  set_thread_count(before);
  EXPECT_TRUE(same_bits(one.codes, three.codes));
  EXPECT_TRUE(same_bits(one.loss, three.loss));
}

TEST(ColumnPlan, KeepsTheNaturalOrder) {
  const ColumnPlan plan = plan_columns(matrix_of({{1, 3, 2, 5, 4}}).flatten(), 2, ColumnOrder::kNatural, false);
  EXPECT_EQ(plan.column, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(plan.group, (std::vector<std::int32_t>{0, 0, 1, 1, 2}));
  EXPECT_EQ(plan.groups, 3);
  EXPECT_TRUE(plan.natural);
}

TEST(ColumnPlan, OrdersByDiagonalAndMakesGroupsOfNeighboursInThatOrder) {
  const at::Tensor diagonal = matrix_of({{1, 3, 2, 5, 4}}).flatten();
  const ColumnPlan plan = plan_columns(diagonal, 2, ColumnOrder::kByDiagonal, false);
  EXPECT_EQ(plan.column, (std::vector<std::int64_t>{3, 4, 1, 2, 0}));
  EXPECT_EQ(plan.group, (std::vector<std::int32_t>{0, 0, 1, 1, 2}));
  const ColumnPlan fixed = plan_columns(diagonal, 2, ColumnOrder::kByDiagonal, true);
  EXPECT_EQ(fixed.column, plan.column);
  EXPECT_EQ(fixed.group, (std::vector<std::int32_t>{1, 2, 0, 1, 0}));
}

TEST(ColumnPlan, OrdersInsideGroupsAndAmongGroupsWithARaggedOneAmongThem) {
  const ColumnPlan plan = plan_columns(matrix_of({{1, 3, 2, 5, 4}}).flatten(), 2, ColumnOrder::kInGroups, false);
  EXPECT_EQ(plan.column, (std::vector<std::int64_t>{3, 2, 4, 1, 0}));
  EXPECT_EQ(plan.group, (std::vector<std::int32_t>{1, 1, 2, 0, 0}));
}

TEST(ColumnPlan, KeepsTheOrderOfEqualDiagonals) {
  const ColumnPlan plan = plan_columns(make_full({5}, 2.0, DType::kFloat64), 2, ColumnOrder::kByDiagonal, false);
  EXPECT_TRUE(plan.natural);
}

}  // namespace
}  // namespace lowbit
