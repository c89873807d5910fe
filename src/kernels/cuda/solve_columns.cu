#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/solve_columns_dispatch.h"
#include "kernels/cuda/solve_columns_launch.cuh"

namespace lowbit::kernels::cuda {

namespace {

struct DeviceLaunchers {
  static Launcher make(const Launch& launch, Report* report) { return {launch, report}; }
};

}  // namespace

bool solve_columns(const SolveColumnsCall* call, const Launch* launch, Report* report) {
  return checked_solve_columns<DeviceLaunchers>(call, launch, report);
}

}  // namespace lowbit::kernels::cuda
