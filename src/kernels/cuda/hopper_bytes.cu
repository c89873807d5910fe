#include "kernels/cuda/hopper_bytes_thread.cuh"
#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/hopper_launch.cuh"
#include "kernels/cuda/hopper_start.cuh"

namespace lowbit::kernels::cuda {

bool hopper_bytes_product(ByteKernel kernel, const IntegerProduct& call, const Launch& launch, Report* report) {
  if (!is_hopper(report)) return false;
  HopperLauncher<HopperBytesThread> launcher{Launcher(launch, report)};
  return dispatch_hopper_bytes<8>(kernel, call, launcher);
}

}  // namespace lowbit::kernels::cuda
