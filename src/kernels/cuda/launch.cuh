#pragma once

#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>

#include "kernels/cuda/device_thread.cuh"
#include "kernels/cuda/expand.h"
#include "kernels/cuda/integer.h"
#include "kernels/cuda/output.h"
#include "kernels/cuda/report.h"
#include "kernels/cuda/skinny.h"

// What the library's sources share. Each launcher of a width is instantiated in a source of its own.
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

inline bool refuse(Report* report, const char* text) {
  report->failure = Failure::kArgument;
  std::snprintf(report->text, sizeof report->text, "%s", text);
  return false;
}

struct Shape {
  dim3 blocks;
  int threads;
  std::size_t shared_bytes;
};

template <typename Call>
bool launch_kernel(void (*kernel)(Call), const Shape& shape, const Call& call, const Launch& launch, Report* report) {
  // Beyond 48 KB a kernel must be told that it may have so much.
  if (shape.shared_bytes > 48 * 1024 &&
      !succeeded(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      static_cast<int>(shape.shared_bytes)),
                 report)) {
    return false;
  }
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = shape.blocks;
  config.blockDim = dim3(static_cast<unsigned>(shape.threads));
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = static_cast<cudaStream_t>(launch.stream);
  config.attrs = &attribute;
  config.numAttrs = launch.dependent != 0 ? 1 : 0;
  return succeeded(cudaLaunchKernelEx(&config, kernel, call), report);
}

template <int kBits>
bool launch_skinny(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report);
template <int kBits>
bool launch_tiled(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report);
template <int kBits>
bool launch_integer(int planes, const IntegerProduct& call, const Launch& launch, Report* report);
template <int kBits>
bool launch_expand(NumberKind number, const ExpandCall& call, const Launch& launch, Report* report);

}  // namespace lowbit::kernels::cuda
