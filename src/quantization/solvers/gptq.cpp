#include "quantization/solvers/gptq.h"

#include <algorithm>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "quantization/solvers/column_plan.h"
#include "quantization/solvers/column_sweep.h"
#include "quantization/solvers/inverse_factor.h"

namespace lowbit {
namespace {

// The Hessian with its dead columns settled.
struct CleanHessian {
  at::Tensor matrix;  // float64 [in, in]
  at::Tensor dead;    // bool [in]
  std::int64_t dead_count = 0;
  double mean_diagonal = 0;
};

CleanHessian clean_hessian(const LinearProblem& problem, bool ref_compat) {
  CleanHessian result;
  result.matrix = problem.statistics->hessian();
  if (!all_finite(result.matrix)) {
    fail(ErrorCode::kData, "layer '{}': its calibration inputs hold NaN or Inf, so that it has no Hessian",
         problem.layer);
  }
  at::Tensor diagonal = result.matrix.diagonal();
  result.dead = diagonal.eq(0);
  result.dead_count = result.dead.sum().item<std::int64_t>();
  const auto live = static_cast<double>(diagonal.size(0) - result.dead_count);
  double sum = 0;
  const at::Tensor values = diagonal.contiguous();
  for (const double value : values_of<double>(values)) sum += value;
  result.mean_diagonal = live > 0 ? sum / live : 1.0;
  if (ref_compat)
    result.mean_diagonal = (sum + static_cast<double>(result.dead_count)) / static_cast<double>(diagonal.size(0));
  diagonal.masked_fill_(result.dead, 1.0);
  if (result.dead_count > 0 && problem.report) problem.report("dead columns", static_cast<double>(result.dead_count));
  return result;
}

at::Tensor index_tensor(const std::vector<std::int64_t>& values) {
  return tensor_of(std::span<const std::int64_t>(values));
}

ColumnOrder column_order(const GptqOptions& options) {
  if (options.act_order) return ColumnOrder::kByDiagonal;
  return options.act_group_aware ? ColumnOrder::kInGroups : ColumnOrder::kNatural;
}

// Parameters read off the sweep's groups, which for groups by position are neighbours in the order.
at::Tensor group_index(const ColumnPlan& plan) {
  std::vector<std::int32_t> index(plan.column.size());
  for (std::size_t position = 0; position < plan.column.size(); ++position) {
    index[static_cast<std::size_t>(plan.column[position])] = plan.group[position];
  }
  return tensor_of(std::span<const std::int32_t>(index));
}

void check_statistics(const LinearProblem& problem) {
  if (problem.statistics == nullptr || problem.statistics->tokens() == 0) {
    fail(ErrorCode::kData, "layer '{}': gptq needs calibration inputs and got none", problem.layer);
  }
  if (problem.statistics->channels() != problem.weight.size(1)) {
    fail(ErrorCode::kData, "layer '{}': the weight has {} columns but its calibration inputs {} channels",
         problem.layer, problem.weight.size(1), problem.statistics->channels());
  }
}

}  // namespace

void GptqOptions::visit(FieldVisitor& v) {
  grid.visit(v);
  visit_clip(v, clip);
  v.field("act_order", act_order, "solve columns in the order of falling Hessian diagonal");
  v.field("static_groups", static_groups, "fix every group's scale before the first column is solved");
  v.field("act_group_aware", act_group_aware, "as act_order, but only inside groups and among whole groups");
  v.field("ref_compat", ref_compat, "scales and dead columns as in the authors' program");
  v.field("block_size", block_size, "columns between two updates of the rest", {1, 65536});
  v.field("damping", damping, "share of the mean Hessian diagonal added to it", {0.0, 1.0});
}

void GptqOptions::validate(ConfigProblems& problems, const SourceMark& mark) const {
  if (act_order && act_group_aware) {
    problems.add(mark, "'act_order' and 'act_group_aware' are two orders of the same columns; give one of them");
  }
  if (ref_compat && act_group_aware) {
    problems.add(mark, "'ref_compat' follows a program that has no 'act_group_aware'; give one of them");
  }
  if (static_groups && grid.group <= 0) {
    problems.add(mark, "'static_groups' needs groups; give a positive 'group' or leave it out");
  }
}

StatisticsNeeds GptqSolver::needs() const {
  StatisticsNeeds needs;
  needs.hessian = true;
  return needs;
}

QuantizedWeight GptqSolver::solve(const LinearProblem& problem) const {
  check_weight(problem);
  check_statistics(problem);
  const GridSpec spec = grid();
  const CleanHessian hessian = clean_hessian(problem, options_.ref_compat);
  at::Tensor weight = to_dtype(problem.weight, DType::kFloat32).contiguous();
  if (options_.ref_compat) weight = weight.masked_fill(hessian.dead.unsqueeze(0), 0.0);

  at::Tensor diagonal = hessian.matrix.diagonal().contiguous();
  if (!options_.ref_compat) diagonal = diagonal.masked_fill(hessian.dead, 0.0);  // dead columns come last
  const ColumnPlan plan = plan_columns(diagonal, spec.group, column_order(options_), options_.static_groups);
  const at::Tensor order = index_tensor(plan.column);
  SweepRequest request;
  request.plan = &plan;
  request.grid = spec;
  request.block = options_.block_size;
  request.cancellation = problem.cancellation;
  request.fit = [&](const at::Tensor& part) { return fit_group(part, spec, options_.clip); };
  request.source = options_.ref_compat ? GroupSource::kBlock : GroupSource::kFresh;
  if (options_.static_groups || spec.group <= 0) {
    request.source = GroupSource::kGiven;
    const QuantizedWeight rounded = round_to_nearest(weight, spec, options_.clip);
    request.given = {rounded.scales, rounded.zeros};
  }
  request.weight = plan.natural ? weight : weight.index_select(1, order);
  const at::Tensor ordered =
      plan.natural ? hessian.matrix : hessian.matrix.index_select(0, order).index_select(1, order);
  request.upper =
      to_dtype(damped_inverse_factor(ordered, hessian.mean_diagonal, options_.damping, problem.layer, problem.report),
               DType::kFloat32);

  SweepResult solved = sweep_columns(request);
  QuantizedWeight result;
  result.grid = spec;
  result.codes = plan.natural ? solved.codes : solved.codes.index_select(1, order.argsort());
  result.scales = std::move(solved.scales);
  result.zeros = std::move(solved.zeros);
  if (plan.groups_by_position && !plan.natural) result.group_index = group_index(plan);
  return result;
}

at::Tensor GptqSolver::approximate(const at::Tensor& weight) const {
  return round_to_nearest(weight, grid(), options_.clip).dequantize();
}

}  // namespace lowbit
