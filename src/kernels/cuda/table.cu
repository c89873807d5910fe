#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/widths.cuh"

namespace lowbit::kernels::cuda {

template <int kBits>
bool DeviceWidths::table(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return number == NumberKind::kFloat16 ? dispatch_table<Float16, kBits>(call, launcher)
                                        : dispatch_table<BFloat16, kBits>(call, launcher);
}

template bool DeviceWidths::table<4>(NumberKind, const HalfProduct&, const Launch&, Report*);
template bool DeviceWidths::table<8>(NumberKind, const HalfProduct&, const Launch&, Report*);

}  // namespace lowbit::kernels::cuda
