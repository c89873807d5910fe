#include "quantization/solvers/spqr.h"

#include <gtest/gtest.h>

#include "formats/grid_fit.h"
#include "lowbit/base/error.h"
#include "quantization/solvers/gptq.h"
#include "quantization/solvers/layers.h"
#include "quantization/solvers/leave_one_out.h"

namespace lowbit {
namespace {

using testing::correlated_inputs;
using testing::hessian_statistics;
using testing::normal_matrix;
using testing::row_losses;
using testing::solve;

double loss(const QuantizedWeight& solved, const at::Tensor& weight, const Statistics& statistics) {
  return row_losses(solved.dequantize() - weight, statistics.hessian()).sum().item<double>();
}

SpqrOptions plain_options() {
  SpqrOptions options;
  options.nested_bits = 0;
  options.outlier_threshold = 0;
  options.act_order = false;
  options.damping = 0.01;
  return options;
}

TEST(SpqrSolver, IsGptqOnRealZerosWithoutItsOwnParts) {
  const at::Tensor weight = normal_matrix(40, 70, "gptq");
  const Statistics statistics = hessian_statistics(correlated_inputs(200, 70, "gptq/x"));
  for (const bool act_order : {false, true}) {
    for (const std::int64_t group : {std::int64_t{16}, std::int64_t{-1}}) {
      SpqrOptions options = plain_options();
      options.group = group;
      options.act_order = act_order;
      GptqOptions gptq;
      gptq.grid.format = NumberFormat::kOffset;
      gptq.grid.bits = options.bits;
      gptq.grid.group = group;
      gptq.act_order = act_order;
      EXPECT_EQ(solve(SpqrSolver(options), weight, &statistics).weight.content_hash(),
                solve(GptqSolver(gptq), weight, &statistics).weight.content_hash())
          << "group " << group;
    }
  }
}

TEST(SpqrSolver, KeepsAPlantedWeightAndNoOtherOfItsRow) {
  for (const bool act_order : {false, true}) {
    at::Tensor weight = normal_matrix(64, 96, "planted");
    const float planted = 50.0F;
    mutable_values_of<float>(weight)[20 * 96 + 33] = planted;
    const Statistics statistics = hessian_statistics(normal_matrix(400, 96, "planted/x"));
    SpqrOptions options;
    options.bits = 4;
    options.act_order = act_order;
    options.outlier_threshold = 1.0;
    const QuantizedWeight solved = solve(SpqrSolver(options), weight, &statistics).weight;
    ASSERT_TRUE(solved.outliers.has_value());
    int of_row = 0;
    for (std::int64_t i = 0; i < solved.outliers->values.numel(); ++i) {
      if (values_of<std::int32_t>(solved.outliers->rows)[static_cast<std::size_t>(i)] != 20) continue;
      ++of_row;
      EXPECT_EQ(values_of<std::int32_t>(solved.outliers->columns)[static_cast<std::size_t>(i)], 33);
      // What earlier columns have added is small against it.
      EXPECT_NEAR(values_of<float>(solved.outliers->values)[static_cast<std::size_t>(i)], planted, 2.0F);
    }
    EXPECT_EQ(of_row, 1);
    const float largest = solved.scales.max().item<float>();
    EXPECT_LT(largest * 15, 10.0F) << "the planted weight has widened its group";
  }
}

TEST(SpqrSolver, OutliersLessenTheOutputError) {
  at::Tensor weight = normal_matrix(32, 96, "tails");
  weight = (weight * weight * weight).contiguous();
  const Statistics statistics = hessian_statistics(correlated_inputs(300, 96, "tails/x"));
  SpqrOptions options;
  options.damping = 0.01;
  const double with = loss(solve(SpqrSolver(options), weight, &statistics).weight, weight, statistics);
  options.outlier_threshold = 0;
  EXPECT_LT(with, 0.9 * loss(solve(SpqrSolver(options), weight, &statistics).weight, weight, statistics));
}

TEST(SpqrSolver, StoresTheBitsOfItsFormula) {
  const at::Tensor weight = normal_matrix(512, 512, "bits");
  const Statistics statistics = hessian_statistics(normal_matrix(600, 512, "bits/x"));
  SpqrOptions options;
  options.act_order = false;
  const QuantizedWeight solved = solve(SpqrSolver(options), weight, &statistics).weight;
  const double weights = 512.0 * 512.0;
  const double count = solved.outliers ? static_cast<double>(solved.outliers->values.numel()) : 0;
  // Codes, two nested numbers a group, four 16-bit numbers a run of 16 rows; 32 bits an outlier and a row offset.
  const double formula = 3 + 2 * 3.0 / 16 + 4 * 16.0 / 256 + (32 * count + (solved.outliers ? 32 * 513 : 0)) / weights;
  EXPECT_NEAR(static_cast<double>(solved.stored_bits()) / weights, formula, 1e-9);
}

TEST(SpqrSolver, FitsZerosToScalesAsStored) {
  const at::Tensor weight = normal_matrix(33, 40, "nested");
  const Statistics statistics = hessian_statistics(correlated_inputs(100, 40, "nested/x"));
  const QuantizedWeight solved = solve(SpqrSolver({}), weight, &statistics).weight;
  ASSERT_TRUE(solved.nested_scales && solved.nested_zeros);
  EXPECT_EQ(solved.nested_scales->scales.size(0), 3);  // runs of 16, 16 and 1 rows
  EXPECT_TRUE(solved.scales.equal(solved.nested_scales->dequantize()));
  EXPECT_TRUE(solved.zeros.equal(solved.nested_zeros->dequantize()));
}

// Which weights would be taken out, by the definition: the grid fitted anew without each.
std::vector<float> replaced_plainly(std::vector<float> weights, const std::vector<float>& diagonal,
                                    const GridSpec& spec, double threshold) {
  const GroupGrid grid(spec);
  const auto cost = [&](const GroupFit& fit, std::size_t i) {
    std::uint8_t code = 0;
    grid.encode({&weights[i], 1}, fit, &code);
    const double error = (static_cast<double>(weights[i]) - grid.decode(code, fit)) / diagonal[i];
    return error * error;
  };
  double all = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) all += cost(grid.fit_min_max(weights), i);
  std::vector<bool> out;
  double sum = 0, kept = 0;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    std::vector<float> others = weights;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(k));
    double without = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (i != k) without += cost(grid.fit_min_max(others), i);
    }
    out.push_back(all - without > threshold);
    if (!out.back()) sum += weights[k];
    if (!out.back()) ++kept;
  }
  for (std::size_t k = 0; k < weights.size(); ++k) {
    if (out[k]) weights[k] = static_cast<float>(sum / kept);
  }
  return weights;
}

TEST(LeaveOneOut, TakesOutWhatItsDefinitionDoes) {
  GridSpec spec;
  spec.kind = GridKind::kOffset;
  spec.bits = 3;
  spec.group = -1;
  spec.scale_type = ScaleType::kFloat32;
  int changed = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string stream = "leave" + std::to_string(i);
    at::Tensor numbers = normal_matrix(1, 16, stream);
    numbers = (numbers * numbers * numbers).contiguous();
    const at::Tensor sizes = normal_matrix(1, 16, stream + "/d").exp().contiguous();
    std::vector<float> weights(values_of<float>(numbers).begin(), values_of<float>(numbers).end());
    const std::vector<float> diagonal(values_of<float>(sizes).begin(), values_of<float>(sizes).end());
    const std::vector<float> expected = replaced_plainly(weights, diagonal, spec, 0.5);
    const int count = replace_likely_outliers(weights, diagonal, spec, 0.5);
    EXPECT_EQ(weights, expected) << i;
    if (count > 0) ++changed;
  }
  EXPECT_GT(changed, 20);
}

TEST(SpqrOptions, RefuseWhatCannotBe) {
  const auto problem = [](const std::string& yaml) -> std::string {
    ConfigProblems problems;
    SpqrOptions options;
    decode_fields(ConfigNode::parse(yaml, "x.yaml"), options, problems);
    try {
      problems.throw_if_any();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(problem("{group: 0}"), "x.yaml:1:1: spqr has no scale of a whole tensor; give a positive 'group' or -1");
  EXPECT_EQ(problem("{nested_bits: 1}"), "x.yaml:1:1: 'nested_bits' is 1; expected 0 or 2 to 8");
}

}  // namespace
}  // namespace lowbit
