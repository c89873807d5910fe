#pragma once

#include "kernels/cuda/expand.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/schedule.h"
#include "kernels/cuda/tiled.h"

// Products of 16-bit activations with weights of one width.
namespace lowbit::kernels::cuda {

template <int kBits, typename Number, int kTokenTiles, int kRowTiles>
__global__ void __launch_bounds__(kSkinnyThreads, Skinny<kBits, Number, kTokenTiles, kRowTiles>::kResidentBlocks)
    skinny_kernel(const __grid_constant__ HalfProduct call) {
  DeviceThread thread;
  Skinny<kBits, Number, kTokenTiles, kRowTiles>::run(thread, call);
}

template <int kBits, typename Number>
__global__ void __launch_bounds__(Tiled<kBits, Number>::kThreads, 1)
    tiled_kernel(const __grid_constant__ HalfProduct call) {
  DeviceThread thread;
  Tiled<kBits, Number>::run(thread, call);
}

template <int kBits, typename Number>
__global__ void __launch_bounds__(kExpandThreads) expand_kernel(const __grid_constant__ ExpandCall call) {
  DeviceThread thread;
  Expand<kBits, Number>::run(thread, call);
}

template <int kBits, typename Number, int kTokenTiles, int kRowTiles>
bool launch_skinny_of(const HalfProduct& call, const SkinnySchedule& schedule, const Launch& launch, Report* report) {
  const Shape shape = {dim3(static_cast<unsigned>(schedule.row_blocks), static_cast<unsigned>(call.splits),
                            static_cast<unsigned>(schedule.token_blocks)),
                       kSkinnyThreads, Skinny<kBits, Number, kTokenTiles, kRowTiles>::kSharedFloats * sizeof(float)};
  return launch_kernel(skinny_kernel<kBits, Number, kTokenTiles, kRowTiles>, shape, call, launch, report);
}

template <int kBits, typename Number>
bool launch_skinny_for(const HalfProduct& call, const Launch& launch, Report* report) {
  const SkinnySchedule schedule = schedule_skinny(call.weight, call.tokens, 1);  // the call holds its own splits
  if (schedule.token_tiles == 1) return launch_skinny_of<kBits, Number, 1, 1>(call, schedule, launch, report);
  if constexpr (has_token_tiles(kBits, 2)) {
    if (schedule.token_tiles == 2) return launch_skinny_of<kBits, Number, 2, 1>(call, schedule, launch, report);
  }
  if constexpr (has_token_tiles(kBits, 8)) {
    if (schedule.token_tiles == 8) return launch_skinny_of<kBits, Number, 8, 2>(call, schedule, launch, report);
  }
  return launch_skinny_of<kBits, Number, 4, 1>(call, schedule, launch, report);
}

template <int kBits>
bool launch_skinny(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  return number == NumberKind::kFloat16 ? launch_skinny_for<kBits, Float16>(call, launch, report)
                                        : launch_skinny_for<kBits, BFloat16>(call, launch, report);
}

template <int kBits, typename Number>
bool launch_tiled_for(const HalfProduct& call, const Launch& launch, Report* report) {
  using Kernel = Tiled<kBits, Number>;
  const auto blocks = [](int count, int size) { return static_cast<unsigned>((count + size - 1) / size); };
  const Shape shape = {
      dim3(blocks(tiles_of(call.weight), Kernel::kBlockTiles), blocks(call.tokens, Kernel::kBlockTokens)),
      Kernel::kThreads, Kernel::kSharedWords * sizeof(std::uint32_t)};
  return launch_kernel(tiled_kernel<kBits, Number>, shape, call, launch, report);
}

template <int kBits>
bool launch_tiled(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  return number == NumberKind::kFloat16 ? launch_tiled_for<kBits, Float16>(call, launch, report)
                                        : launch_tiled_for<kBits, BFloat16>(call, launch, report);
}

template <int kBits>
bool launch_expand(NumberKind number, const ExpandCall& call, const Launch& launch, Report* report) {
  constexpr int kWarps = kExpandThreads / kLanes;
  const Shape shape = {dim3(static_cast<unsigned>(tiles_of(call.weight)),
                            static_cast<unsigned>((chunks_of(call.weight) + kWarps - 1) / kWarps)),
                       kExpandThreads, 0};
  return number == NumberKind::kFloat16 ? launch_kernel(expand_kernel<kBits, Float16>, shape, call, launch, report)
                                        : launch_kernel(expand_kernel<kBits, BFloat16>, shape, call, launch, report);
}

}  // namespace lowbit::kernels::cuda
