// GPTQ against Optimal Brain Quantization as the papers write it: column by column, float64, the inverse of the
// remaining columns' Hessian computed anew each time. Nothing of the fast solver's factorization, blocking or lazy
// updates is in it.
#include <gtest/gtest.h>

#include "quantization/solvers/gptq.h"
#include "quantization/solvers/layers.h"
#include "quantization/solvers/rounding.h"

namespace lowbit {
namespace {

using testing::correlated_inputs;
using testing::hessian_statistics;
using testing::normal_matrix;

struct Textbook {
  at::Tensor codes;     // uint8 [rows, columns]
  at::Tensor scales;    // [rows, groups]
  at::Tensor deciding;  // bool [rows, columns]: no number before it lay so near a threshold that float32 may decide
};

at::Tensor indices(const std::vector<std::int64_t>& values, std::size_t begin) {
  return tensor_of(std::span<const std::int64_t>(values).subspan(begin));
}

// The positions from `begin` on that belong to its group.
std::vector<std::int64_t> group_columns(const ColumnPlan& plan, std::size_t begin) {
  std::vector<std::int64_t> columns;
  for (std::size_t p = 0; p < plan.column.size(); ++p) {
    if (plan.group[p] == plan.group[begin]) columns.push_back(plan.column[p]);
  }
  return columns;
}

Textbook solve_as_the_textbook(const GptqOptions& options, const at::Tensor& weight, at::Tensor hessian) {
  const GridSpec grid = options.grid.spec();
  const std::int64_t rows = weight.size(0);
  const std::int64_t columns = weight.size(1);
  const ColumnOrder order = options.act_order         ? ColumnOrder::kByDiagonal
                            : options.act_group_aware ? ColumnOrder::kInGroups
                                                      : ColumnOrder::kNatural;
  const ColumnPlan plan = plan_columns(hessian.diagonal().contiguous(), grid.group, order, options.static_groups);
  hessian = hessian + make_eye(columns, DType::kFloat64) * hessian.diagonal().mean() * options.damping;
  const bool given = options.static_groups || grid.group <= 0;
  const QuantizedWeight rounded = round_to_nearest(weight, grid, options.clip);

  at::Tensor w = to_dtype(weight, DType::kFloat64).clone();
  Textbook result{make_zeros({rows, columns}, DType::kUInt8), rounded.scales.clone(),
                  make_zeros({rows, columns}, DType::kBool)};
  at::Tensor zeros = rounded.zeros.clone();
  at::Tensor certain = make_zeros({rows}, DType::kBool).logical_not();
  std::vector<bool> fitted(static_cast<std::size_t>(plan.groups), given);
  for (std::size_t p = 0; p < plan.column.size(); ++p) {
    const std::int64_t column = plan.column[p];
    const std::int64_t group = plan.group[p];
    if (!fitted[static_cast<std::size_t>(group)]) {
      const at::Tensor members = w.index_select(1, indices(group_columns(plan, p), 0));
      const GroupParameters fit = fit_group(to_dtype(members, DType::kFloat32).contiguous(), grid, options.clip);
      result.scales.select(1, group).copy_(fit.scales);
      zeros.select(1, group).copy_(fit.zeros);
      fitted[static_cast<std::size_t>(group)] = true;
    }
    const GroupParameters parameters{
        result.scales.select(1, group).contiguous(), zeros.select(1, group).contiguous(), {}, {}};
    const at::Tensor now = to_dtype(w.select(1, column), DType::kFloat32).unsqueeze(1).contiguous();
    const at::Tensor code = encode_columns(now, parameters, grid);
    const at::Tensor steps = w.select(1, column) / parameters.scales;
    certain = certain.logical_and((steps - steps.floor() - 0.5).abs().gt(1e-3));
    result.codes.select(1, column).copy_(code.select(1, 0));
    result.deciding.select(1, column).copy_(certain);

    const at::Tensor remaining = indices(plan.column, p);
    const at::Tensor inverse = hessian.index_select(0, remaining).index_select(1, remaining).inverse();
    const at::Tensor value = to_dtype(decode_columns(code, parameters, grid).select(1, 0), DType::kFloat64);
    const at::Tensor error = (w.select(1, column) - value) / inverse.select(0, 0).select(0, 0);
    w.index_add_(1, remaining, error.unsqueeze(1) * inverse.select(0, 0).unsqueeze(0), -1);
  }
  return result;
}

void expect_as_the_textbook(const GptqOptions& options, const std::string& stream) {
  const at::Tensor weight = normal_matrix(16, 37, stream);
  const Statistics statistics = hessian_statistics(correlated_inputs(150, 37, stream + "/x"));
  LinearProblem problem;
  problem.layer = stream;
  problem.weight = weight.clone();
  problem.statistics = &statistics;
  const QuantizedWeight solved = GptqSolver(options).solve(problem);
  const Textbook expected = solve_as_the_textbook(options, weight, statistics.hessian().clone());
  // Where a row was never near a threshold, float32 and float64 must choose the same code.
  EXPECT_EQ(solved.codes.ne(expected.codes).logical_and(expected.deciding).sum().item<std::int64_t>(), 0);
  // Most count, though the largest weight of a symmetric group lies on a threshold by construction.
  EXPECT_GT(expected.deciding.sum().item<std::int64_t>(), 16 * 37 / 2);
  const at::Tensor whole_rows = expected.deciding.all(1).nonzero().flatten();
  ASSERT_GT(whole_rows.numel(), 4);
  EXPECT_TRUE(
      solved.scales.index_select(0, whole_rows).allclose(expected.scales.index_select(0, whole_rows), 1e-4, 1e-7));
}

TEST(Gptq, IsOptimalBrainQuantizationInEveryMode) {
  for (const Symmetry symmetry : {Symmetry::kSymOffset, Symmetry::kAsymmetric}) {
    for (const std::int64_t group : {std::int64_t{-1}, std::int64_t{37}, std::int64_t{10}}) {  // 10: a ragged 7 remains
      GptqOptions options;
      options.grid = {.bits = 3, .group = group, .symmetry = symmetry, .scale = ScaleType::kFloat32};
      const std::string name = "textbook/" + options.grid.spec().text();
      SCOPED_TRACE(name);
      expect_as_the_textbook(options, name);
      options.act_order = true;
      expect_as_the_textbook(options, name + "/act_order");
      if (group <= 0) continue;
      options.static_groups = true;
      expect_as_the_textbook(options, name + "/act_order/static");
      options.act_order = false;
      expect_as_the_textbook(options, name + "/static");
      options.static_groups = false;
      options.act_group_aware = true;
      expect_as_the_textbook(options, name + "/act_group_aware");
    }
  }
}

}  // namespace
}  // namespace lowbit
