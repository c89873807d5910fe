#include "quantization/solvers/gptq.h"

#include <utility>

#include "formats/grid_fit.h"
#include "lowbit/tensor/factory.h"
#include "quantization/solvers/asymmetry.h"
#include "quantization/solvers/column_plan.h"
#include "quantization/solvers/column_sweep.h"
#include "quantization/solvers/hessian.h"
#include "quantization/solvers/inverse_factor.h"
#include "quantization/solvers/shared_factor.h"

namespace lowbit {
namespace {

ColumnOrder column_order(const GptqOptions& options) {
  if (options.act_order) return ColumnOrder::kByDiagonal;
  return options.act_group_aware ? ColumnOrder::kInGroups : ColumnOrder::kNatural;
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
  grid.validate(problems, mark);
}

StatisticsNeeds GptqSolver::needs() const {
  StatisticsNeeds needs;
  needs.hessian = true;
  needs.cross = alpha_ > 0;
  return needs;
}

// Where the sweep takes each group's parameters from.
void GptqSolver::set_groups(SweepRequest& request, const at::Tensor& weight) const {
  const GridSpec& grid = request.grid;
  request.source = options_.ref_compat ? GroupSource::kBlock : GroupSource::kFresh;
  request.fits_extremes = fits_extremes(grid, options_.clip);
  request.fit = [this, &grid, rows = fit_row_scales(weight, grid)](const at::Tensor& part, const SweepPlace& place) {
    const std::span<const float> own(rows);
    return fit_group(
        part, grid, options_.clip,
        own.empty() ? own
                    : own.subspan(static_cast<std::size_t>(place.first_row), static_cast<std::size_t>(place.rows)));
  };
  if (!options_.static_groups && grid.group > 0) return;
  request.source = GroupSource::kGiven;
  QuantizedWeight rounded = round_to_nearest(weight, grid, options_.clip);
  request.given = {rounded.scales, rounded.zeros, std::move(rounded.nested_scales), std::move(rounded.nested_zeros)};
}

QuantizedWeight GptqSolver::solve(const LinearProblem& problem) const {
  check_weight(problem, grid());
  check_statistics(problem, alpha_ > 0 ? "gptaq" : "gptq");
  const CleanDiagonal hessian = clean_diagonal(problem, options_.ref_compat);
  at::Tensor weight = to_dtype(problem.weight, DType::kFloat32).contiguous();
  if (options_.ref_compat) weight = weight.masked_fill(hessian.dead.unsqueeze(0), 0.0);

  // Dead columns come last.
  const at::Tensor diagonal = options_.ref_compat ? hessian.values : hessian.values.masked_fill(hessian.dead, 0.0);
  const ColumnPlan plan = plan_columns(diagonal, grid().group, column_order(options_), options_.static_groups);
  SweepRequest request;
  request.plan = &plan;
  request.grid = bind_grid(grid(), weight);
  request.block = options_.block_size;
  request.cancellation = problem.cancellation;
  request.device = problem.device;
  set_groups(request, weight);
  request.weight = columns_in_order(weight, plan);
  if (alpha_ > 0) {
    set_asymmetric_target(request, problem, hessian);
  } else {
    request.upper = shared_inverse_factor(problem, hessian, plan, options_.damping);
  }
  return as_weight(sweep_columns(request), request);
}

// GPTAQ's correction is made with the factor in float64.
void GptqSolver::set_asymmetric_target(SweepRequest& request, const LinearProblem& problem,
                                       const CleanDiagonal& hessian) const {
  const auto fresh = [&] {
    return ordered_hessian(*problem.statistics, hessian.values, *request.plan, problem.device);
  };
  const at::Tensor upper = damped_inverse_factor(fresh, hessian.mean, options_.damping, problem.layer, problem.report);
  const at::Tensor dead = hessian.dead.to(problem.device).unsqueeze(0);
  at::Tensor cross = problem.statistics->cross(problem.device).masked_fill_(dead, 0.0);
  cross = in_order(cross, *request.plan);
  request.carried = asymmetry_correction(std::move(cross), upper, alpha_);
  request.carry_rounded = options_.ref_compat;
  request.upper = to_dtype(upper, DType::kFloat32);
}

at::Tensor GptqSolver::approximate(const at::Tensor& weight) const {
  return round_to_nearest(weight, grid(), options_.clip).dequantize();
}

void GptaqOptions::visit(FieldVisitor& v) {
  gptq.visit(v);
  v.field("alpha", alpha, "share of the difference between the streams that is made good", {0.0, 1.0});
}

}  // namespace lowbit
