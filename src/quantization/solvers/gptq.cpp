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

// So many bytes of a Hessian are looked at a time, beside the matrix that is worked on.
constexpr std::int64_t kSliceBytes = std::int64_t{16} << 20;

// `use(rows, first)` for the Hessian's rows, slice by slice.
template <typename Use>
void for_each_slice(const Statistics& statistics, const Use& use) {
  const std::int64_t size = statistics.channels();
  const std::int64_t step = std::max<std::int64_t>(1, kSliceBytes / (size * static_cast<std::int64_t>(sizeof(double))));
  for (std::int64_t first = 0; first < size; first += step) {
    use(statistics.hessian_rows(first, std::min(size, first + step)), first);
  }
}

// A Hessian's diagonal with its dead columns settled.
struct CleanDiagonal {
  at::Tensor values;  // float64 [in], 1 where dead
  at::Tensor dead;    // bool [in]
  double mean = 0;
};

CleanDiagonal clean_diagonal(const LinearProblem& problem, bool ref_compat) {
  CleanDiagonal result;
  result.values = make_empty({problem.statistics->channels()}, DType::kFloat64);
  for_each_slice(*problem.statistics, [&](const at::Tensor& rows, std::int64_t first) {
    if (!all_finite(rows)) {
      fail(ErrorCode::kData, "layer '{}': its calibration inputs hold NaN or Inf, so that it has no Hessian",
           problem.layer);
    }
    result.values.narrow(0, first, rows.size(0)).copy_(rows.diagonal(first));
  });
  result.dead = result.values.eq(0);
  const auto dead_count = result.dead.sum().item<std::int64_t>();
  const auto live = static_cast<double>(result.values.size(0) - dead_count);
  double sum = 0;
  for (const double value : values_of<double>(result.values)) sum += value;
  result.mean = live > 0 ? sum / live : 1.0;
  if (ref_compat) result.mean = (sum + static_cast<double>(dead_count)) / static_cast<double>(result.values.size(0));
  result.values.masked_fill_(result.dead, 1.0);
  if (dead_count > 0 && problem.report) problem.report("dead columns", static_cast<double>(dead_count));
  return result;
}

// A fresh Hessian with `diagonal` in place of its own, rows and columns in the order of `plan`.
at::Tensor ordered_hessian(const Statistics& statistics, const at::Tensor& diagonal, const ColumnPlan& plan,
                           const at::Tensor& order) {
  at::Tensor result;
  if (plan.natural) {
    result = statistics.hessian();
    result.diagonal().copy_(diagonal);
    return result;
  }
  result = make_empty({statistics.channels(), statistics.channels()}, DType::kFloat64);
  const at::Tensor place = order.argsort();
  for_each_slice(statistics, [&](const at::Tensor& rows, std::int64_t first) {
    result.index_copy_(0, place.narrow(0, first, rows.size(0)), rows.index_select(1, order));
  });
  result.diagonal().copy_(diagonal.index_select(0, order));
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
  const CleanDiagonal hessian = clean_diagonal(problem, options_.ref_compat);
  at::Tensor weight = to_dtype(problem.weight, DType::kFloat32).contiguous();
  if (options_.ref_compat) weight = weight.masked_fill(hessian.dead.unsqueeze(0), 0.0);

  // Dead columns come last.
  const at::Tensor diagonal = options_.ref_compat ? hessian.values : hessian.values.masked_fill(hessian.dead, 0.0);
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
  const auto fresh = [&] { return ordered_hessian(*problem.statistics, hessian.values, plan, order); };
  request.upper = to_dtype(damped_inverse_factor(fresh, hessian.mean, options_.damping, problem.layer, problem.report),
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
