#include "quantization/driver/row_solving.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/ceil_divide.h"
#include "lowbit/tensor/factory.h"
#include "model/row_slices.h"
#include "quantization/driver/layer_error.h"
#include "tensor/threads.h"

namespace lowbit {
namespace {

// Multiply-adds that take as long as rounding and judging a number.
constexpr double kWorkOfNumber = 50;

// What solvers report of parts, added up.
class SummedReport {
 public:
  void add(std::string_view what, double value) {
    const std::lock_guard lock(mutex_);
    sums_[std::string(what)] += value;
  }
  void pass_on(const LinearProblem& problem) const {
    for (const auto& [what, sum] : sums_) {
      if (problem.report) problem.report(what, sum);
    }
  }

 private:
  std::mutex mutex_;
  std::map<std::string, double> sums_;
};

void put_rows(at::Tensor& whole, const at::Tensor& part, std::int64_t first, std::int64_t rows) {
  if (!part.defined()) return;
  whole.narrow(0, first, rows).copy_(part);
}

// A weight of `rows` rows on the grid of some of them; what differs from row to row is not set yet.
QuantizedWeight with_rows(const QuantizedWeight& part, std::int64_t rows) {
  QuantizedWeight whole;
  whole.grid = part.grid;
  whole.codes = make_empty({rows, part.columns()}, DType::kUInt8);
  whole.scales = make_empty({rows, part.scales.size(1)}, DType::kFloat32);
  if (part.zeros.defined()) whole.zeros = make_empty({rows, part.zeros.size(1)}, DType::kFloat32);
  return whole;
}

}  // namespace

std::optional<RowSolution> solve_by_rows(const LinearOp& linear, const WeightSolver& solver,
                                         const LinearProblem& problem) {
  const std::int64_t rows = linear.out_features();
  const std::int64_t most = rows_in_cache(linear.in_features());
  if (!solver.solves_rows_alone()) return std::nullopt;
  const std::optional<at::Tensor> head = linear.dense_rows(0, std::min(most, rows));
  if (!head) return std::nullopt;
  RowErrors errors(rows);
  SummedReport reports;
  QuantizedWeight whole;
  std::once_flag made;
  const std::int64_t parts = ceil_divide(rows, most);
  const double work = kWorkOfNumber * static_cast<double>(rows * linear.in_features());
  for_each_unit(parts, work, [&](std::int64_t part) {
    const std::int64_t first = part * most;
    const std::int64_t count = std::min(most, rows - first);
    LinearProblem own = problem;
    own.weight = (part == 0 ? head : linear.dense_rows(first, count)).value().contiguous();
    own.report = [&](std::string_view what, double value) { reports.add(what, value); };
    const QuantizedWeight solved = solver.solve(own);
    solved.check(problem.layer);
    errors.add(first, own.weight, solved);
    std::call_once(made, [&] { whole = with_rows(solved, rows); });
    put_rows(whole.codes, solved.codes, first, count);
    put_rows(whole.scales, solved.scales, first, count);
    put_rows(whole.zeros, solved.zeros, first, count);
  });
  reports.pass_on(problem);
  return RowSolution{std::move(whole), errors.relative()};
}

}  // namespace lowbit
