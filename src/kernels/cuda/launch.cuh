#pragma once

#include <cuda_runtime_api.h>

#include <cstdio>

#include "kernels/cuda/device_thread.cuh"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/report.h"

// What the library's sources share. The kernels of each width are instantiated in a source of their own.
namespace lowbit::kernels::cuda {

/// Whether CUDA succeeded; fills the report when not.
inline bool succeeded(cudaError_t status, Report* report) {
  if (status == cudaSuccess) return true;
  report->failure = status == cudaErrorNoDevice ? Failure::kNoDevice : Failure::kOther;
  report->code = status;
  std::snprintf(report->text, sizeof report->text, "%s: %s", cudaGetErrorName(status), cudaGetErrorString(status));
  (void)cudaGetLastError();  // so that the next call does not report it again
  return false;
}

template <typename Kernel, typename Call>
__global__ void __launch_bounds__(Kernel::kThreads, Kernel::kResidentBlocks) entry(const __grid_constant__ Call call) {
  DeviceThread thread;
  Kernel::run(thread, call);
}

/// Starts kernels in a stream.
class Launcher {
 public:
  Launcher(const Launch& launch, Report* report) : launch_(launch), report_(report) {}

  template <typename Kernel, typename Call>
  bool launch(const GridSize& grid, const Call& call) {
    // Beyond 48 KB a kernel must be told that it may have so much.
    if (grid.shared_bytes > 48 * 1024 &&
        !succeeded(cudaFuncSetAttribute(entry<Kernel, Call>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        static_cast<int>(grid.shared_bytes)),
                   report_)) {
      return false;
    }
    cudaLaunchAttribute attributes[2]{};
    unsigned count = 0;
    if (launch_.dependent != 0) {
      attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
      attributes[count++].val.programmaticStreamSerializationAllowed = 1;
    }
    if (grid.cluster > 1) {
      attributes[count].id = cudaLaunchAttributeClusterDimension;
      attributes[count++].val.clusterDim = {static_cast<unsigned>(grid.cluster), 1, 1};
    }
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(grid.blocks[0]), static_cast<unsigned>(grid.blocks[1]),
                          static_cast<unsigned>(grid.blocks[2]));
    config.blockDim = dim3(Kernel::kThreads);
    config.dynamicSmemBytes = grid.shared_bytes;
    config.stream = static_cast<cudaStream_t>(launch_.stream);
    config.attrs = attributes;
    config.numAttrs = count;
    return succeeded(cudaLaunchKernelEx(&config, entry<Kernel, Call>, call), report_);
  }

 private:
  const Launch& launch_;
  Report* report_;
};

}  // namespace lowbit::kernels::cuda
