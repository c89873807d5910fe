#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/widths.cuh"

namespace lowbit::kernels::cuda {

template <>
bool DeviceWidths::skinny<2>(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return number == NumberKind::kFloat16 ? dispatch_skinny<Float16, 2>(call, launcher)
                                        : dispatch_skinny<BFloat16, 2>(call, launcher);
}

template <>
bool DeviceWidths::expand<2>(NumberKind number, const ExpandCall& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return number == NumberKind::kFloat16 ? dispatch_expand<Float16, 2>(call, launcher)
                                        : dispatch_expand<BFloat16, 2>(call, launcher);
}

}  // namespace lowbit::kernels::cuda
