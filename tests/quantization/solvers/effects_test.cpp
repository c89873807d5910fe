// What each option of the solvers changes, what it leaves alone, and which way.
#include <gtest/gtest.h>

#include "quantization/solvers/gptq.h"
#include "quantization/solvers/layers.h"
#include "quantization/solvers/rounding.h"

namespace lowbit {
namespace {

using testing::correlated_inputs;
using testing::hessian_statistics;
using testing::normal_matrix;
using testing::row_losses;
using testing::same_bits;

QuantizedWeight solve(const GptqOptions& options, const at::Tensor& weight, const Statistics& statistics) {
  LinearProblem problem;
  problem.layer = "layer";
  problem.weight = weight.clone();
  problem.statistics = &statistics;
  return GptqSolver(options).solve(problem);
}

double loss(const QuantizedWeight& solved, const at::Tensor& weight, const Statistics& statistics) {
  return row_losses(solved.dequantize() - weight, statistics.hessian()).sum().item<double>();
}

GptqOptions with_grid(int bits, std::int64_t group) {
  GptqOptions options;
  options.grid.bits = bits;
  options.grid.group = group;
  return options;
}

// Channels of rising energy, the largest last, where the natural order has no column left to make up for their errors.
at::Tensor rising_inputs(std::int64_t channels, const std::string& stream) {
  const at::Tensor mix = normal_matrix(channels, channels, stream + "/mix") * 0.4 + make_eye(channels, DType::kFloat32);
  at::Tensor size = make_empty({channels}, DType::kFloat32);
  for (std::int64_t c = 0; c < channels; ++c) size.select(0, c).fill_(std::exp(-4.0 * (channels - 1 - c) / channels));
  return (normal_matrix(4 * channels, channels, stream).matmul(mix) * size).contiguous();
}

TEST(ActOrder, LowersTheOutputErrorWhereTheDiagonalFalls) {
  double ordered_sum = 0;
  double natural_sum = 0;
  int better = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string stream = "act order" + std::to_string(i);
    const at::Tensor weight = normal_matrix(16, 64, stream);
    const Statistics statistics = hessian_statistics(rising_inputs(64, stream));
    GptqOptions options = with_grid(3, -1);
    const double natural = loss(solve(options, weight, statistics), weight, statistics);
    options.act_order = true;
    const double ordered = loss(solve(options, weight, statistics), weight, statistics);
    natural_sum += natural;
    ordered_sum += ordered;
    if (ordered < natural) ++better;
  }
  EXPECT_GE(better, 19);
  EXPECT_LT(ordered_sum, 0.9 * natural_sum);
}

TEST(ActOrder, ChangesCodesAndNoScaleWhereScalesAreGiven) {
  const at::Tensor weight = normal_matrix(16, 64, "only codes");
  const Statistics statistics = hessian_statistics(correlated_inputs(200, 64, "only codes/x"));
  for (const std::int64_t group : {std::int64_t{-1}, std::int64_t{20}}) {
    GptqOptions options = with_grid(3, group);
    options.static_groups = group > 0;
    const QuantizedWeight natural = solve(options, weight, statistics);
    options.act_order = true;
    const QuantizedWeight ordered = solve(options, weight, statistics);
    EXPECT_TRUE(same_bits(ordered.scales, natural.scales));
    EXPECT_TRUE(same_bits(ordered.zeros, natural.zeros));
    EXPECT_FALSE(same_bits(ordered.codes, natural.codes));
    EXPECT_FALSE(ordered.group_index.defined());
  }
}

TEST(StaticGroups, TakeTheScalesOfTheWeightAsItWas) {
  const at::Tensor weight = normal_matrix(16, 64, "static");
  const Statistics statistics = hessian_statistics(correlated_inputs(200, 64, "static/x"));
  GptqOptions options = with_grid(3, 20);
  const QuantizedWeight rounded = round_to_nearest(weight, options.grid.spec(), Clip::kNone);
  const QuantizedWeight moving = solve(options, weight, statistics);
  options.static_groups = true;
  const QuantizedWeight fixed = solve(options, weight, statistics);
  EXPECT_TRUE(same_bits(fixed.scales, rounded.scales));
  EXPECT_TRUE(same_bits(fixed.zeros, rounded.zeros));
  // Without them the first group is the same, since nothing was solved before it; the later ones see moved weights.
  EXPECT_TRUE(same_bits(moving.scales.select(1, 0), rounded.scales.select(1, 0)));
  EXPECT_TRUE(same_bits(moving.codes.narrow(1, 0, 20), fixed.codes.narrow(1, 0, 20)));
  for (std::int64_t group = 1; group < 4; ++group) {
    EXPECT_FALSE(same_bits(moving.scales.select(1, group), rounded.scales.select(1, group))) << group;
  }
}

// 50 columns in groups of 16 leave 2: their weights must reach no column before them, and no scale but their own.
TEST(RaggedGroups, AreGroupsOfTheirOwn) {
  const at::Tensor weight = normal_matrix(16, 50, "ragged");
  const Statistics statistics = hessian_statistics(correlated_inputs(200, 50, "ragged/x"));
  at::Tensor other = weight.clone();
  other.narrow(1, 48, 2).mul_(-3);
  for (const bool static_groups : {false, true}) {
    GptqOptions options = with_grid(4, 16);
    options.static_groups = static_groups;
    const QuantizedWeight first = solve(options, weight, statistics);
    const QuantizedWeight second = solve(options, other, statistics);
    EXPECT_EQ(first.scales.size(1), 4);
    EXPECT_TRUE(same_bits(first.codes.narrow(1, 0, 48), second.codes.narrow(1, 0, 48)));
    EXPECT_TRUE(same_bits(first.scales.narrow(1, 0, 3), second.scales.narrow(1, 0, 3)));
    EXPECT_FALSE(same_bits(first.scales.select(1, 3), second.scales.select(1, 3)));
  }
}

TEST(RaggedGroups, WiderThanTheRowAreTheWholeRow) {
  const at::Tensor weight = normal_matrix(16, 50, "whole");
  const Statistics statistics = hessian_statistics(correlated_inputs(200, 50, "whole/x"));
  const QuantizedWeight channel = solve(with_grid(4, -1), weight, statistics);
  const QuantizedWeight larger = solve(with_grid(4, 64), weight, statistics);  // one ragged group of 50
  EXPECT_TRUE(same_bits(channel.codes, larger.codes));
  EXPECT_TRUE(same_bits(channel.scales, larger.scales));
}

// A scale that is rounded after the codes were chosen leaves codes which are not the nearest on the grid that is
// stored. Powers of two as scales make the difference plain; with float16 it is seen where a weight lies between the
// thresholds of both scales.
class ScalesBeforeCodes : public ::testing::TestWithParam<ScaleType> {
 protected:
  static void expect_nearest(const QuantizedWeight& solved, const at::Tensor& weight) {
    const at::Tensor stored = round_scales(solved.scales, solved.grid.scale_type);
    EXPECT_TRUE(same_bits(stored, solved.scales)) << "a scale that its storage type cannot hold";
    const at::Tensor chosen = (solved.dequantize() - weight).abs();
    for (int code = 0; code < 1 << solved.grid.bits; ++code) {
      QuantizedWeight other = solved;
      other.codes = make_full(shape_of(solved.codes), code, DType::kUInt8);
      // Float32 rounding of both sides.
      EXPECT_TRUE((other.dequantize() - weight).abs().mul(1 + 1e-6).add(1e-9).ge(chosen).all().item<bool>()) << code;
    }
  }
};

TEST_P(ScalesBeforeCodes, CodesAreTheNearestOnTheStoredGrid) {
  // Inputs that reach one channel each: GPTQ has no error to hand on, so that its codes must be the nearest too.
  at::Tensor inputs = make_zeros({100, 50}, DType::kFloat32);
  for (std::int64_t i = 0; i < 100; ++i) inputs.select(0, i).select(0, i % 50).fill_(1.0);
  const Statistics statistics = hessian_statistics(inputs);
  const at::Tensor weight = normal_matrix(64, 50, "scales first");
  for (const int bits : {2, 4, 8}) {
    GptqOptions options = with_grid(bits, 16);
    options.grid.scale = GetParam();
    for (const Symmetry symmetry : {Symmetry::kAsymmetric, Symmetry::kSymOffset}) {
      options.grid.symmetry = symmetry;
      expect_nearest(round_to_nearest(weight, options.grid.spec(), Clip::kNone), weight);
      expect_nearest(solve(options, weight, statistics), weight);
      options.static_groups = true;
      expect_nearest(solve(options, weight, statistics), weight);
      options.static_groups = false;
    }
  }
}

// The test above can tell: with 8 bits some code does change when the scale is rounded.
TEST_P(ScalesBeforeCodes, RoundingAScaleWouldChangeCodes) {
  const at::Tensor weight = normal_matrix(64, 50, "scales first");
  GridSpec grid;
  grid.bits = 8;
  grid.symmetry = Symmetry::kSymOffset;
  grid.group = 16;
  grid.scale_type = GetParam();
  const QuantizedWeight stored = round_to_nearest(weight, grid, Clip::kNone);
  grid.scale_type = ScaleType::kFloat32;
  EXPECT_FALSE(same_bits(stored.codes, round_to_nearest(weight, grid, Clip::kNone).codes));
}

INSTANTIATE_TEST_SUITE_P(Types, ScalesBeforeCodes,
                         ::testing::Values(ScaleType::kFloat16, ScaleType::kBFloat16, ScaleType::kE8M0),
                         [](const auto& type) { return std::string(scale_type_name(type.param)); });

}  // namespace
}  // namespace lowbit
