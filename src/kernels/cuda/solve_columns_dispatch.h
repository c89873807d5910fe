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
  if (call->columns < 1 || call->columns > kMostSolvedColumns || call->upper_stride < call->columns) {
    return refuse(report, "columns are solved 1 to 128 at a time, with as many of the factor's");
  }
  if (call->top < 1 || call->top > 255) return refuse(report, "codes of columns are bytes");
  if (call->carry != nullptr && call->carried == nullptr) return refuse(report, "there is no room for what is carried");
  if (call->rows == 0) return true;
  auto launcher = Launchers::make(*launch, report);
  const auto start = [&]<bool kCarries>() {
    using Kernel = SolveColumns<kCarries>;
    return launcher.template launch<Kernel>(
        GridSize{{blocks_for(call->rows, Kernel::kThreads), 1, 1}, Kernel::kSharedWords * 4}, *call);
  };
  return call->carry == nullptr ? start.template operator()<false>() : start.template operator()<true>();
}

}  // namespace lowbit::kernels::cuda
