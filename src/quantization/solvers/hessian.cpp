#include "quantization/solvers/hessian.h"

#include <algorithm>
#include <cstdint>
#include <span>

#include "lowbit/base/error.h"
#include "lowbit/quantization/shared_tensors.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {

namespace {

// So many bytes of a Hessian are looked at a time, beside the matrix that is worked on.
constexpr std::int64_t kSliceBytes = std::int64_t{4} << 20;

// `use(rows, first)` for the Hessian's rows, slice by slice.
template <typename Use>
void for_each_slice(const Statistics& statistics, at::Device device, const Use& use) {
  const std::int64_t size = statistics.channels();
  const std::int64_t step = std::max<std::int64_t>(1, kSliceBytes / (size * static_cast<std::int64_t>(sizeof(double))));
  for (std::int64_t first = 0; first < size; first += step) {
    use(statistics.hessian_rows(first, std::min(size, first + step), device), first);
  }
}

// Of the Hessian as it was collected, which is checked on the way.
at::Tensor finite_diagonal(const LinearProblem& problem) {
  at::Tensor diagonal = make_empty({problem.statistics->channels()}, DType::kFloat64);
  for_each_slice(*problem.statistics, problem.device, [&](const at::Tensor& rows, std::int64_t first) {
    if (!all_finite(rows)) {
      fail(ErrorCode::kData, "layer '{}': its calibration inputs hold NaN or Inf, so that it has no Hessian",
           problem.layer);
    }
    diagonal.narrow(0, first, rows.size(0)).copy_(rows.diagonal(first));
  });
  return diagonal;
}

}  // namespace

CleanDiagonal clean_diagonal(const LinearProblem& problem, bool count_dead) {
  const auto make = [&] { return finite_diagonal(problem); };
  CleanDiagonal result;
  result.values = problem.shared != nullptr ? problem.shared->get("Hessian diagonal", make).clone() : make();
  result.dead = result.values.eq(0);
  const auto dead_count = result.dead.sum().item<std::int64_t>();
  const auto live = static_cast<double>(result.values.size(0) - dead_count);
  double sum = 0;
  for (const double value : values_of<double>(result.values)) sum += value;
  result.mean = live > 0 ? sum / live : 1.0;
  if (count_dead) result.mean = (sum + static_cast<double>(dead_count)) / static_cast<double>(result.values.size(0));
  result.values.masked_fill_(result.dead, 1.0);
  if (dead_count > 0 && problem.report) problem.report("dead columns", static_cast<double>(dead_count));
  return result;
}

at::Tensor ordered_hessian(const Statistics& statistics, const at::Tensor& diagonal, const ColumnPlan& plan,
                           at::Device device) {
  at::Tensor result;
  if (plan.natural) {
    result = statistics.hessian(device);
    result.diagonal().copy_(diagonal);
    return result;
  }
  const at::Tensor order = tensor_of(std::span<const std::int64_t>(plan.column)).to(device);
  const at::Tensor place = order.argsort();
  result = order.new_empty({statistics.channels(), statistics.channels()}, order.options().dtype(at::kDouble));
  for_each_slice(statistics, device, [&](const at::Tensor& rows, std::int64_t first) {
    result.index_copy_(0, place.narrow(0, first, rows.size(0)), rows.index_select(1, order));
  });
  result.diagonal().copy_(diagonal.to(device).index_select(0, order));
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
