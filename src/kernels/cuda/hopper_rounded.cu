#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/hopper_launch.cuh"
#include "kernels/cuda/hopper_start.cuh"

namespace lowbit::kernels::cuda {

bool hopper_rounded_product(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  if (!is_hopper(report)) return false;
  HopperLauncher<> launcher{Launcher(launch, report)};
  return number == NumberKind::kFloat16 ? dispatch_hopper_rounded<Float16, 4>(call, launcher)
                                        : dispatch_hopper_rounded<BFloat16, 4>(call, launcher);
}

bool hopper_rounded_turns_product(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  if (!is_hopper(report)) return false;
  HopperLauncher<> launcher{Launcher(launch, report)};
  return number == NumberKind::kFloat16 ? dispatch_hopper_rounded<Float16, 4, kTurnLag>(call, launcher)
                                        : dispatch_hopper_rounded<BFloat16, 4, kTurnLag>(call, launcher);
}

}  // namespace lowbit::kernels::cuda
