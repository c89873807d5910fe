#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/widths.cuh"

// Products of 16-bit activations with weights of one width.
namespace lowbit::kernels::cuda {

template <int kBits>
bool DeviceWidths::skinny(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return number == NumberKind::kFloat16 ? dispatch_skinny<Float16, kBits>(call, launcher)
                                        : dispatch_skinny<BFloat16, kBits>(call, launcher);
}

template <int kBits>
bool DeviceWidths::tiled(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return number == NumberKind::kFloat16 ? dispatch_tiled<Float16, kBits>(call, launcher)
                                        : dispatch_tiled<BFloat16, kBits>(call, launcher);
}

template <int kBits>
bool DeviceWidths::expand(NumberKind number, const ExpandCall& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return number == NumberKind::kFloat16 ? dispatch_expand<Float16, kBits>(call, launcher)
                                        : dispatch_expand<BFloat16, kBits>(call, launcher);
}

}  // namespace lowbit::kernels::cuda
