#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/hopper_launch.cuh"
#include "kernels/cuda/hopper_start.cuh"

namespace lowbit::kernels::cuda {

bool hopper_product(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  if (!is_hopper(report)) return false;
  HopperLauncher<> launcher{Launcher(launch, report)};
  return number == NumberKind::kFloat16 ? dispatch_hopper<Float16, 4>(call, launcher)
                                        : dispatch_hopper<BFloat16, 4>(call, launcher);
}

bool arrange_operands(const OperandCall& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return dispatch_arrange_operands(call, launcher);
}

}  // namespace lowbit::kernels::cuda
