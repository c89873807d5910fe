#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/schedule.h"

// Products of integers with weights of one width.
namespace lowbit::kernels::cuda {

template <int kBits, int kPlanes, int kTokenTiles>
__global__ void __launch_bounds__(kIntegerThreads, 2) integer_kernel(const __grid_constant__ IntegerProduct call) {
  DeviceThread thread;
  Integer<kBits, kPlanes, kTokenTiles>::run(thread, call);
}

template <int kBits, int kPlanes, int kTokenTiles>
bool launch_integer_of(const IntegerProduct& call, const Launch& launch, Report* report) {
  using Kernel = Integer<kBits, kPlanes, kTokenTiles>;
  const Shape shape = {dim3(static_cast<unsigned>(tiles_of(call.weight)),
                            static_cast<unsigned>((call.tokens + Kernel::kTokens - 1) / Kernel::kTokens)),
                       kIntegerThreads,
                       static_cast<std::size_t>(Kernel::shared_words(call.weight.group_steps)) * sizeof(std::uint32_t)};
  return launch_kernel(integer_kernel<kBits, kPlanes, kTokenTiles>, shape, call, launch, report);
}

template <int kBits, int kPlanes>
bool launch_integer_for(const IntegerProduct& call, const Launch& launch, Report* report) {
  return choose_integer_tiles(call.tokens) == 1 ? launch_integer_of<kBits, kPlanes, 1>(call, launch, report)
                                                : launch_integer_of<kBits, kPlanes, 4>(call, launch, report);
}

template <int kBits>
bool launch_integer(int planes, const IntegerProduct& call, const Launch& launch, Report* report) {
  return planes == 1 ? launch_integer_for<kBits, 1>(call, launch, report)
                     : launch_integer_for<kBits, 2>(call, launch, report);
}

}  // namespace lowbit::kernels::cuda
