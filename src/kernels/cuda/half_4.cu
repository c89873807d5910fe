#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/widths.cuh"

namespace lowbit::kernels::cuda {

template <>
bool DeviceWidths::skinny<4>(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return number == NumberKind::kFloat16 ? dispatch_skinny<Float16, 4>(call, launcher)
                                        : dispatch_skinny<BFloat16, 4>(call, launcher);
}

template <>
bool DeviceWidths::tiled<4>(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return number == NumberKind::kFloat16 ? dispatch_tiled<Float16, 4>(call, launcher)
                                        : dispatch_tiled<BFloat16, 4>(call, launcher);
}

template <>
bool DeviceWidths::expand<4>(NumberKind number, const ExpandCall& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return number == NumberKind::kFloat16 ? dispatch_expand<Float16, 4>(call, launcher)
                                        : dispatch_expand<BFloat16, 4>(call, launcher);
}

}  // namespace lowbit::kernels::cuda
