#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/hopper_launch.cuh"
#include "kernels/cuda/hopper_start.cuh"

namespace lowbit::kernels::cuda {

bool hopper_sliced_product(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  if (!is_hopper(report)) return false;
  HopperLauncher<> launcher{Launcher(launch, report)};
  return number == NumberKind::kFloat16 ? dispatch_hopper_sliced<Float16>(call, launcher)
                                        : dispatch_hopper_sliced<BFloat16>(call, launcher);
}

bool count_clusters(HopperClusters* result, Report* report) {
  *report = Report{};
  *result = HopperClusters{};
  if (!is_hopper(report)) {
    if (report->failure != Failure::kCapability) return false;
    *report = Report{};
    return true;
  }
  using Kernel = ForHopper<HopperSliced<Float16, kMostSlicedTokens / kTileTokens, 0>>;
  const auto kernel = entry<Kernel, HalfProduct>;
  if (!succeeded(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kMostSharedBytes), report)) {
    return false;
  }
  for (int bits = 0; bits < 4; ++bits) {
    const unsigned blocks = 1U << bits;
    cudaLaunchAttribute cluster{};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {blocks, 1, 1};
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(blocks);
    config.blockDim = dim3(Kernel::kThreads);
    config.dynamicSmemBytes = kMostSharedBytes;
    config.attrs = &cluster;
    config.numAttrs = 1;
    if (!succeeded(cudaOccupancyMaxActiveClusters(&result->held[bits], kernel, &config), report)) return false;
  }
  return true;
}

}  // namespace lowbit::kernels::cuda
