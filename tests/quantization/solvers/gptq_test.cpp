#include "quantization/solvers/gptq.h"

#include <gtest/gtest.h>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/solvers/layers.h"
#include "quantization/solvers/rtn.h"
#include "support/source_folder.h"

namespace lowbit {
namespace {

using testing::correlated_inputs;
using testing::hessian_statistics;
using testing::normal_matrix;
using testing::row_losses;
using testing::same_bits;
using testing::solve;
using testing::Solved;

GptqOptions with_grid(int bits, std::int64_t group) {
  GptqOptions options;
  options.grid.bits = bits;
  options.grid.group = group;
  return options;
}

QuantizedWeight gptq(const GptqOptions& options, const at::Tensor& weight, const Statistics& statistics) {
  return solve(GptqSolver(options), weight, &statistics).weight;
}

QuantizedWeight rtn(const GridOptions& grid, const at::Tensor& weight) {
  return solve(RtnSolver(RtnOptions{grid, Clip::kNone}), weight, nullptr).weight;
}

double loss(const QuantizedWeight& solved, const at::Tensor& weight, const Statistics& statistics) {
  return row_losses(solved.dequantize() - weight, statistics.hessian()).sum().item<double>();
}

at::Tensor scaled_integers(const Json& rows, double unit) {
  std::vector<double> values;
  for (const auto& row : rows) {
    for (const auto& value : row) values.push_back(value.get<double>() * unit);
  }
  return to_dtype(tensor_of(std::span<const double>(values)), DType::kFloat32)
      .reshape({static_cast<std::int64_t>(rows.size()), -1});
}

GptqOptions golden_options(const Json& entry) {
  GptqOptions options = with_grid(entry.at("bits").get<int>(), entry.at("group").get<std::int64_t>());
  options.grid.symmetry = entry.at("symmetry") == "asymmetric" ? Symmetry::kAsymmetric : Symmetry::kSymOffset;
  options.grid.scale = entry.at("scale") == "float16" ? ScaleType::kFloat16 : ScaleType::kFloat32;
  options.damping = entry.at("damping").get<double>();
  options.act_order = entry.value("act_order", false);
  options.static_groups = entry.value("static_groups", false);
  options.act_group_aware = entry.value("act_group_aware", false);
  options.ref_compat = entry.value("ref_compat", false);
  options.block_size = entry.value("block_size", 128);
  return options;
}

void expect_golden(const Json& entry, const QuantizedWeight& solved) {
  const std::int64_t columns = solved.columns();
  std::int64_t differing = 0;
  const at::Tensor codes = solved.codes.contiguous();
  for (std::int64_t row = 0; row < solved.rows(); ++row) {
    const std::string digits = entry.at("codes").at(static_cast<std::size_t>(row)).get<std::string>();
    for (std::int64_t c = 0; c < columns; ++c) {
      const int digit = std::stoi(digits.substr(static_cast<std::size_t>(c), 1), nullptr, 16);
      if (values_of<std::uint8_t>(codes)[static_cast<std::size_t>(row * columns + c)] != digit) ++differing;
    }
  }
  EXPECT_EQ(differing, 0);
  const auto scales = entry.at("scales").get<std::vector<double>>();
  // Float32 scales carry the rounding of the updates that led to them, some 1e-7 of the largest weight each.
  EXPECT_TRUE(
      solved.scales.flatten().allclose(to_dtype(tensor_of(std::span<const double>(scales)), DType::kFloat32), 1e-5, 0));
  const auto zeros = entry.at("zeros").get<std::vector<double>>();
  EXPECT_TRUE(solved.zeros.flatten().equal(to_dtype(tensor_of(std::span<const double>(zeros)), DType::kFloat32)));
  EXPECT_EQ(solved.column_groups(), entry.at("groups").get<std::vector<std::int32_t>>());
}

TEST(GptqSolver, EqualsAnIndependentProgramInEveryMode) {
  const Json golden =
      parse_json(read_file(testing::source_folder() / "tests/golden/quantization/gptq.json"), "gptq.json");
  const at::Tensor weight = scaled_integers(golden.at("weight"), golden.at("weight_unit").get<double>());
  const at::Tensor inputs = scaled_integers(golden.at("inputs"), golden.at("input_unit").get<double>());
  for (const Json& entry : golden.at("cases")) {
    SCOPED_TRACE(entry.at("name").get<std::string>());
    at::Tensor live = inputs.clone();
    for (const auto& column : entry.value("dead", std::vector<std::int64_t>{})) live.select(1, column).fill_(0);
    const Statistics statistics = hessian_statistics(live);
    expect_golden(entry, gptq(golden_options(entry), weight, statistics));
  }
}

TEST(GptqSolver, EqualsRoundToNearestWhenHessianIsDiagonal) {
  // Two tokens a channel, each reaching that channel alone.
  at::Tensor inputs = make_zeros({2 * 50, 50}, DType::kFloat32);
  for (std::int64_t i = 0; i < 100; ++i) inputs.select(0, i).select(0, i % 50).fill_(0.5 + static_cast<double>(i));
  const Statistics statistics = hessian_statistics(inputs);
  const at::Tensor weight = normal_matrix(40, 50, "diagonal");
  for (const std::int64_t group : {std::int64_t{16}, std::int64_t{-1}, std::int64_t{0}}) {
    for (const bool grouped_order : {false, true}) {
      GptqOptions options = with_grid(3, group);
      options.act_group_aware = grouped_order;
      const QuantizedWeight solved = gptq(options, weight, statistics);
      EXPECT_EQ(solved.content_hash(), rtn(options.grid, weight).content_hash()) << group;
    }
  }
}

TEST(GptqSolver, KeepsScalesOfTwoLevelsWhileItCompensates) {
  const at::Tensor weight = normal_matrix(40, 96, "two levels");
  const Statistics statistics = hessian_statistics(correlated_inputs(300, 96, "two levels/x"));
  for (const bool act_order : {false, true}) {
    GptqOptions options = with_grid(4, 32);
    options.grid.scale = ScaleType::kUint8;
    options.act_order = options.static_groups = act_order;
    const QuantizedWeight solved = gptq(options, weight, statistics);
    solved.check("two levels");
    EXPECT_LT(loss(solved, weight, statistics), 0.8 * loss(rtn(options.grid, weight), weight, statistics));
  }
  at::Tensor alone = make_zeros({192, 96}, DType::kFloat32);  // each channel by itself: nothing to compensate
  for (std::int64_t i = 0; i < 192; ++i) alone.select(0, i).select(0, i % 96).fill_(1.0 + static_cast<double>(i));
  GptqOptions options = with_grid(3, 32);
  options.grid.scale = ScaleType::kUint8;
  EXPECT_EQ(gptq(options, weight, hessian_statistics(alone)).content_hash(), rtn(options.grid, weight).content_hash());
}

TEST(GptqSolver, BlockSizeChangesNoBitUnlessReferenceCompatible) {
  const at::Tensor weight = normal_matrix(40, 96, "blocks");
  const Statistics statistics = hessian_statistics(correlated_inputs(300, 96, "blocks/x"));
  GptqOptions options = with_grid(3, 20);
  const Hash expected = gptq(options, weight, statistics).content_hash();
  for (const std::int64_t block : {1, 32, 48, 96}) {
    options.block_size = block;
    EXPECT_EQ(gptq(options, weight, statistics).content_hash(), expected) << block;
  }
  options.ref_compat = true;
  EXPECT_NE(gptq(options, weight, statistics).content_hash(), expected);
}

TEST(GptqSolver, ThreadsChangeNoBit) {
  const at::Tensor weight = normal_matrix(150, 96, "threads");
  const Statistics statistics = hessian_statistics(correlated_inputs(300, 96, "threads/x"));
  const int before = thread_count();
  for (const bool act_order : {false, true}) {
    GptqOptions options = with_grid(4, 32);
    options.act_order = act_order;
    options.clip = Clip::kMse;
    set_thread_count(1);
    const Hash one = gptq(options, weight, statistics).content_hash();
    set_thread_count(2);
    EXPECT_EQ(gptq(options, weight, statistics).content_hash(), one);
  }
  set_thread_count(before);
}

TEST(GptqSolver, OrderedByDiagonalItDoesNotDependOnTheOrderOfColumns) {
  const at::Tensor weight = normal_matrix(24, 60, "permuted");
  const at::Tensor inputs = correlated_inputs(200, 60, "permuted/x");
  const at::Tensor order = normal_matrix(1, 60, "permuted/order").flatten().argsort();
  GptqOptions options = with_grid(3, 20);
  options.act_order = true;
  const QuantizedWeight plain = gptq(options, weight, hessian_statistics(inputs));
  const QuantizedWeight permuted = gptq(options, weight.index_select(1, order).contiguous(),
                                        hessian_statistics(inputs.index_select(1, order).contiguous()));
  EXPECT_TRUE(same_bits(permuted.codes, plain.codes.index_select(1, order)));
  EXPECT_TRUE(same_bits(permuted.scales, plain.scales));
}

TEST(GptqSolver, ActOrderOfASortedDiagonalIsTheNaturalOrder) {
  const at::Tensor weight = normal_matrix(24, 60, "sorted");
  at::Tensor inputs = correlated_inputs(200, 60, "sorted/x");
  inputs = inputs.index_select(1, inputs.square().sum(0).argsort(0, true)).contiguous();
  GptqOptions options = with_grid(3, 20);
  const Hash natural = gptq(options, weight, hessian_statistics(inputs)).content_hash();
  options.act_order = true;
  EXPECT_EQ(gptq(options, weight, hessian_statistics(inputs)).content_hash(), natural);
}

TEST(GptqSolver, OnlyActOrderWithMovingGroupsStoresAGroupIndex) {
  const at::Tensor weight = normal_matrix(24, 60, "orders");
  const Statistics statistics = hessian_statistics(correlated_inputs(200, 60, "orders/x"));
  GptqOptions natural = with_grid(3, 20);
  GptqOptions moving = natural;
  moving.act_order = true;
  GptqOptions fixed = moving;
  fixed.static_groups = true;
  GptqOptions aware = natural;
  aware.act_group_aware = true;
  EXPECT_TRUE(gptq(moving, weight, statistics).group_index.defined());
  for (const GptqOptions& options : {natural, fixed, aware}) {
    EXPECT_FALSE(gptq(options, weight, statistics).group_index.defined());
  }
  std::vector<Hash> hashes;
  for (const GptqOptions& options : {natural, moving, fixed, aware}) {
    hashes.push_back(gptq(options, weight, statistics).content_hash());
  }
  std::sort(hashes.begin(), hashes.end());
  EXPECT_EQ(std::unique(hashes.begin(), hashes.end()), hashes.end());
}

TEST(GptqSolver, HasLessOutputErrorThanRoundToNearest) {
  int better = 0;
  for (int i = 0; i < 40; ++i) {
    const std::string stream = "loss" + std::to_string(i);
    const at::Tensor weight = normal_matrix(16, 64, stream);
    const Statistics statistics = hessian_statistics(correlated_inputs(200, 64, stream + "/x"));
    const GptqOptions options = with_grid(3, 32);
    if (loss(gptq(options, weight, statistics), weight, statistics) <
        loss(rtn(options.grid, weight), weight, statistics))
      ++better;
  }
  EXPECT_GE(better, 39);
}

TEST(GptqSolver, TellsOfDeadColumnsAndRoundsThemToNearest) {
  const at::Tensor weight = normal_matrix(8, 32, "dead");
  at::Tensor inputs = correlated_inputs(100, 32, "dead/x");
  inputs.select(1, 5).fill_(0);
  inputs.select(1, 30).fill_(0);
  const Statistics statistics = hessian_statistics(inputs);
  GptqOptions options = with_grid(4, -1);
  const Solved solved = solve(GptqSolver(options), weight, &statistics);
  ASSERT_EQ(solved.events.size(), 1U);
  EXPECT_EQ(solved.events[0].what, "dead columns");
  EXPECT_EQ(solved.events[0].value, 2);
  const QuantizedWeight nearest = rtn(options.grid, weight);
  EXPECT_TRUE(same_bits(solved.weight.codes.select(1, 5), nearest.codes.select(1, 5)));
  options.ref_compat = true;
  const at::Tensor zeroed = gptq(options, weight, statistics).dequantize();
  EXPECT_EQ(zeroed.select(1, 30).abs().max().item<float>(), 0);
}

TEST(GptqSolver, SolvesLayersWithoutAnyLiveColumnByRounding) {
  const at::Tensor weight = normal_matrix(8, 32, "all dead");
  const Statistics statistics = hessian_statistics(make_zeros({10, 32}, DType::kFloat32));
  const GptqOptions options = with_grid(4, 16);
  EXPECT_EQ(gptq(options, weight, statistics).content_hash(), rtn(options.grid, weight).content_hash());
}

TEST(GptqSolver, SolvesHessiansOfLowRank) {
  const at::Tensor weight = normal_matrix(8, 64, "rank");
  const Statistics statistics = hessian_statistics(correlated_inputs(5, 64, "rank/x"));
  EXPECT_TRUE(all_finite(gptq(with_grid(4, 16), weight, statistics).dequantize()));
  GptqOptions undamped = with_grid(4, 16);
  undamped.damping = 0;
  const Solved solved = solve(GptqSolver(undamped), weight, &statistics);
  EXPECT_TRUE(all_finite(solved.weight.dequantize()));
}

TEST(GptqSolver, HoldsAllZeroWeights) {
  const at::Tensor weight = make_zeros({4, 32}, DType::kFloat32);
  const Statistics statistics = hessian_statistics(correlated_inputs(100, 32, "zeros"));
  EXPECT_EQ(gptq(with_grid(4, 16), weight, statistics).dequantize().abs().max().item<float>(), 0);
}

TEST(GptqSolver, NamesTheLayerOfAWeightThatIsNotFinite) {
  const Statistics statistics = hessian_statistics(correlated_inputs(100, 32, "nan"));
  for (const double value : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    at::Tensor weight = normal_matrix(4, 32, "nan");
    weight.select(0, 2).select(0, 3).fill_(value);
    try {
      (void)gptq(with_grid(4, 16), weight, statistics);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kData);
      EXPECT_STREQ(error.what(),
                   "layer 'model.layers.0.mlp.up_proj': the weight holds NaN or Inf; nothing can be rounded to it");
    }
  }
}

TEST(GptqSolver, SaysThatItNeedsCalibration) {
  try {
    (void)solve(GptqSolver(with_grid(4, 16)), normal_matrix(4, 32, "none"), nullptr);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "layer 'model.layers.0.mlp.up_proj': gptq needs calibration inputs and got none");
  }
}

TEST(GptqSolver, SaysThatInputsHaveAnotherWidth) {
  const Statistics statistics = hessian_statistics(correlated_inputs(100, 30, "width"));
  try {
    (void)gptq(with_grid(4, 16), normal_matrix(4, 32, "width"), statistics);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(
        error.what(),
        "layer 'model.layers.0.mlp.up_proj': the weight has 32 columns but its calibration inputs 30 channels");
  }
}

TEST(RtnSolver, NeedsNoStatisticsAndClippedNeverDoesWorse) {
  const at::Tensor weight = normal_matrix(8, 100, "rtn");
  RtnOptions options;
  options.grid.bits = 3;
  options.grid.group = 32;
  EXPECT_FALSE(RtnSolver(options).needs().any());
  const auto error = [&](const QuantizedWeight& solved) {
    return (solved.dequantize() - weight).abs().pow(2.4).sum().item<double>();
  };
  const double plain = error(solve(RtnSolver(options), weight, nullptr).weight);
  options.clip = Clip::kMse;
  EXPECT_LE(error(solve(RtnSolver(options), weight, nullptr).weight), plain);
}

TEST(RtnSolver, ApproximatesWhatItSolves) {
  const at::Tensor weight = normal_matrix(8, 100, "approximate");
  RtnOptions options;
  options.clip = Clip::kMse;
  const RtnSolver solver(options);
  EXPECT_TRUE(same_bits(solver.approximate(weight), solve(solver, weight, nullptr).weight.dequantize()));
}

}  // namespace
}  // namespace lowbit
