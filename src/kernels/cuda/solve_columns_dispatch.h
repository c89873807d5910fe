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
  const bool carries = call->carry != nullptr;
  if (call->columns < 1 || call->columns > most_solved_columns(carries) || call->upper_stride < call->columns) {
    return refuse(report, "columns are solved 1 to 128 at a time, 64 if carried, with as many of the factor's");
  }
  if (call->top < 1 || call->top > 255) return refuse(report, "codes of columns are bytes");
  if (carries && call->carried == nullptr) return refuse(report, "there is no room for what is carried");
  if (call->rows == 0) return true;
  auto launcher = Launchers::make(*launch, report);
  const auto start = [&]<bool kCarries>() {
    using Kernel = SolveColumns<kCarries>;
    return launcher.template launch<Kernel>(
        GridSize{{blocks_for(call->rows, Kernel::kThreads), 1, 1}, Kernel::kSharedWords * 4}, *call);
  };
  return carries ? start.template operator()<true>() : start.template operator()<false>();
}

}  // namespace lowbit::kernels::cuda
