#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/hopper_float8_thread.cuh"
#include "kernels/cuda/hopper_launch.cuh"
#include "kernels/cuda/hopper_start.cuh"

namespace lowbit::kernels::cuda {

bool hopper_float8_product(const Float8Product& call, const Launch& launch, Report* report) {
  if (!is_hopper(report)) return false;
  HopperLauncher<HopperFloat8Thread> launcher{Launcher(launch, report)};
  return dispatch_hopper_float8(call, launcher);
}

}  // namespace lowbit::kernels::cuda
