#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/widths.cuh"

namespace lowbit::kernels::cuda {

template <>
bool DeviceWidths::integer<3>(int planes, const IntegerProduct& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return planes == 1 ? dispatch_integer<1, 3>(call, launcher) : dispatch_integer<2, 3>(call, launcher);
}

}  // namespace lowbit::kernels::cuda
