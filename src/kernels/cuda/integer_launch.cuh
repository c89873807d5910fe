#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/widths.cuh"

// Products of integers with weights of one width.
namespace lowbit::kernels::cuda {

template <int kBits>
bool DeviceWidths::integer(int planes, const IntegerProduct& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return planes == 1 ? dispatch_integer<1, kBits>(call, launcher) : dispatch_integer<2, kBits>(call, launcher);
}

template <int kBits>
bool DeviceWidths::integer_tiles(const IntegerProduct& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return dispatch_integer_tiles<kBits>(call, launcher);
}

}  // namespace lowbit::kernels::cuda
