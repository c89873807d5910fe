#include "quantization/solvers/easyquant.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/error.h"
#include "quantization/solvers/layers.h"
#include "quantization/solvers/rtn.h"
#include "quantization/solvers/zeroquant.h"

namespace lowbit {
namespace {

using testing::normal_matrix;
using testing::solve;

double squared_error(const QuantizedWeight& solved, const at::Tensor& weight) {
  return (solved.dequantize() - weight).square().sum().item<double>();
}

TEST(EasyQuantSolver, IsRoundToNearestWithoutOutliersAndSteps) {
  const at::Tensor weight = normal_matrix(12, 70, "rtn");
  for (const NumberFormat format : {NumberFormat::kInteger, NumberFormat::kNf4, NumberFormat::kNvfp4,
                                    NumberFormat::kOffset, NumberFormat::kTernary}) {
    EasyQuantOptions options;
    options.grid = GridOptions::of(format);
    options.sigma = 100;
    options.steps = 0;
    const RtnOptions rtn{options.grid, Clip::kNone};
    EXPECT_EQ(solve(EasyQuantSolver(options), weight).weight.content_hash(),
              solve(RtnSolver(rtn), weight).weight.content_hash());
  }
}

TEST(EasyQuantSolver, ErrsLessWithEveryStep) {
  const at::Tensor weight = normal_matrix(12, 200, "steps");
  for (const std::int64_t group : {std::int64_t{-1}, std::int64_t{32}, std::int64_t{0}}) {
    EasyQuantOptions options;
    options.grid.bits = 3;
    options.grid.group = group;
    double before = INFINITY;
    for (options.steps = 0; options.steps < 8; ++options.steps) {
      const double error = squared_error(solve(EasyQuantSolver(options), weight).weight, weight);
      EXPECT_LE(error, before) << "group " << group << ", step " << options.steps;
      before = error;
    }
    options.steps = 0;
    EXPECT_LT(before, squared_error(solve(EasyQuantSolver(options), weight).weight, weight));
  }
}

TEST(EasyQuantSolver, EndsWhereTheGradientOfTheScaleIsZero) {
  const at::Tensor weight = normal_matrix(6, 128, "gradient");
  EasyQuantOptions options;
  options.grid.scale = ScaleType::kFloat32;
  options.sigma = 100;
  options.steps = 1000;
  const QuantizedWeight solved = solve(EasyQuantSolver(options), weight).weight;
  const at::Tensor k = to_dtype(solved.codes, DType::kFloat64) - to_dtype(solved.zeros, DType::kFloat64);
  const at::Tensor residual = to_dtype(solved.scales, DType::kFloat64) * k - to_dtype(weight, DType::kFloat64);
  const at::Tensor gradient = (residual * k).sum(1);
  // The scale is the quotient rounded to float32: 2^-24 of sum s k^2.
  const at::Tensor bound = (to_dtype(solved.scales, DType::kFloat64) * k * k).sum(1) * 0x1p-23;
  EXPECT_LE((gradient.abs() - bound).max().item<double>(), 0.0);
}

TEST(EasyQuantSolver, KeepsThreeSigmaOutliersInFloat16) {
  at::Tensor weight = normal_matrix(100, 400, "share");
  mutable_values_of<float>(weight)[1234] = 60.0F;
  const QuantizedWeight solved = solve(EasyQuantSolver({}), weight).weight;
  const auto count = static_cast<double>(solved.outliers->values.numel());
  // A normal number is beyond three sigma with probability 0.0027: 108 of 40000, deviation 10.4. The planted weight
  // raises sigma by 4 percent, which takes a third of them away.
  EXPECT_NEAR(count, 40000 * std::erfc(3 * 1.044 / std::sqrt(2.0)), 45);
  EXPECT_EQ(solved.dequantize().select(0, 3).select(0, 34).item<float>(), 60.0F);
  EXPECT_LE(solved.scales.max().item<float>(), 3.2F / 7);  // the range is that of the others
}

TEST(EasyQuantSolver, ReportsZerosAndHoldsThem) {
  const testing::Solved solved = solve(EasyQuantSolver({}), make_zeros({5, 32}, DType::kFloat32));
  ASSERT_EQ(solved.events.size(), 1U);
  EXPECT_EQ(solved.events[0].what, "all-zero groups");
  EXPECT_EQ(solved.events[0].value, 5);
  EXPECT_FALSE(solved.weight.outliers.has_value());
  EXPECT_EQ(solved.weight.dequantize().abs().max().item<float>(), 0.0F);
}

TEST(EasyQuantSolver, RefusesNestedScales) {
  ConfigProblems problems;
  EasyQuantOptions options;
  decode_fields(ConfigNode::parse("{nested_bits: 4}", "x.yaml"), options, problems);
  try {
    problems.throw_if_any();
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "x.yaml:1:1: 'nested_bits' binds the scales of many rows together, and easyquant fits each by itself; "
                 "leave it out");
  }
}

TEST(ZeroQuantOptions, MeanGroupsOfTheLargestMagnitude) {
  const at::Tensor weight = normal_matrix(5, 100, "zeroquant");
  ZeroQuantOptions options;
  options.bits = 4;
  options.group = 32;
  options.scale = ScaleType::kFloat32;
  const QuantizedWeight solved = solve(RtnSolver(options.rtn()), weight).weight;
  for (std::int64_t group = 0; group < 4; ++group) {
    const at::Tensor part = weight.slice(1, group * 32, std::min<std::int64_t>(100, group * 32 + 32));
    const at::Tensor largest = std::get<0>(part.abs().max(1));
    EXPECT_TRUE(solved.scales.select(1, group).equal(largest / 7.0));
  }
}

}  // namespace
}  // namespace lowbit
