#pragma once

#include "kernels/cuda/checked.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/solve_columns.h"

// From a call to the kernel that solves columns, and what a call must be; the same on a GPU and on the tests' model of
// one.
namespace lowbit::kernels::cuda {

/// `Launchers::make(launch, report)` gives what starts kernels.
template <typename Launchers>
bool checked_solve_columns(const SolveColumnsCall* call, const Launch* launch, Report* report) {
  *report = Report{};
  if (call->columns < 1 || call->columns > SolveColumns::kMostColumns || call->upper_stride < call->columns) {
    return refuse(report, "columns are solved 1 to 128 at a time, with as many of the factor's");
  }
  if (call->top < 1 || call->top > 255) return refuse(report, "codes of columns are bytes");
  if (call->rows == 0) return true;
  auto launcher = Launchers::make(*launch, report);
  return launcher.template launch<SolveColumns>(
      GridSize{{blocks_for(call->rows, SolveColumns::kThreads), 1, 1}, SolveColumns::kSharedWords * 4}, *call);
}

}  // namespace lowbit::kernels::cuda
