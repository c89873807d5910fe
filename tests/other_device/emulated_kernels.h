#pragma once

#include <cstdlib>

#include "other_device/device_under_test.h"
#include "other_device/stand_in.h"

namespace lowbit::testing {

/// While alive, the stand-in has kernels: their own sources on the tests' model of a GPU. A real device has its own.
class EmulatedKernels {
 public:
  explicit EmulatedKernels(at::Device device = device_under_test()) : named_(device == stand_in()) {
    if (named_) ::setenv("LOWBIT_CUDA_KERNELS", LOWBIT_EMULATED_CUDA, 1);
  }
  ~EmulatedKernels() {
    if (named_) ::unsetenv("LOWBIT_CUDA_KERNELS");
  }
  EmulatedKernels(const EmulatedKernels&) = delete;
  EmulatedKernels& operator=(const EmulatedKernels&) = delete;

 private:
  bool named_;
  ReachableMemory reachable_;
};

}  // namespace lowbit::testing
