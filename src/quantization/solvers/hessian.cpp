#include "quantization/solvers/hessian.h"

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {

CleanHessian clean_hessian(const LinearProblem& problem, bool count_dead) {
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
  if (count_dead)
    result.mean_diagonal = (sum + static_cast<double>(result.dead_count)) / static_cast<double>(diagonal.size(0));
  diagonal.masked_fill_(result.dead, 1.0);
  if (result.dead_count > 0 && problem.report) problem.report("dead columns", static_cast<double>(result.dead_count));
  return result;
}

void check_statistics(const LinearProblem& problem, std::string_view solver) {
  if (problem.statistics == nullptr || problem.statistics->tokens() == 0) {
    fail(ErrorCode::kData, "layer '{}': {} needs calibration inputs and got none", problem.layer, solver);
  }
  const std::int64_t columns = problem.weight.size(1);
  if (problem.statistics->channels() != columns) {
    fail(ErrorCode::kData, "layer '{}': the weight has {} columns but its calibration inputs {} channels",
         problem.layer, columns, problem.statistics->channels());
  }
  const std::int64_t tokens = problem.statistics->tokens();
  if (tokens < columns && problem.report) {
    problem.report("fewer calibration tokens than columns", static_cast<double>(tokens));
  }
}

}  // namespace lowbit
