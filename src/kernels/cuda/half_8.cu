#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/widths.cuh"

namespace lowbit::kernels::cuda {

template <>
bool DeviceWidths::skinny<8>(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return number == NumberKind::kFloat16 ? dispatch_skinny<Float16, 8>(call, launcher)
                                        : dispatch_skinny<BFloat16, 8>(call, launcher);
}

template <>
bool DeviceWidths::tiled<8>(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return number == NumberKind::kFloat16 ? dispatch_tiled<Float16, 8>(call, launcher)
                                        : dispatch_tiled<BFloat16, 8>(call, launcher);
}

template <>
bool DeviceWidths::expand<8>(NumberKind number, const ExpandCall& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return number == NumberKind::kFloat16 ? dispatch_expand<Float16, 8>(call, launcher)
                                        : dispatch_expand<BFloat16, 8>(call, launcher);
}

}  // namespace lowbit::kernels::cuda
