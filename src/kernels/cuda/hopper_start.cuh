#pragma once

#include <cstdio>

#include "kernels/cuda/hopper_thread.cuh"
#include "kernels/cuda/launch.cuh"

// How the sources of Hopper's kernels start them.
namespace lowbit::kernels::cuda {

/// A kernel with a thread of Hopper. Its instructions exist for sm_90a alone: elsewhere nobody starts it.
template <typename Kernel, typename Thread = HopperThread>
struct ForHopper {
  static constexpr int kThreads = Kernel::kThreads;
  static constexpr int kResidentBlocks = Kernel::kResidentBlocks;
  template <typename Call>
  static __device__ void run(DeviceThread&, const Call& call) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    Thread thread;
    Kernel::run(thread, call);
#else
    __trap();
#endif
  }
};

template <typename Thread = HopperThread>
struct HopperLauncher {
  Launcher launcher;
  template <typename Kernel, typename Call>
  bool launch(const GridSize& grid, const Call& call) {
    return launcher.launch<ForHopper<Kernel, Thread>>(grid, call);
  }
};

/// Whether the GPU in use has these instructions, and the library was built with them; else the report says so.
inline bool is_hopper(Report* report) {
  int device = 0;
  int major = 0;
  int minor = 0;
  if (!succeeded(cudaGetDevice(&device), report) ||
      !succeeded(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), report) ||
      !succeeded(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), report)) {
    return false;
  }
  if (major == 9 && minor == 0 && LOWBIT_SM_90A) return true;
  report->failure = Failure::kCapability;
  std::snprintf(report->text, sizeof report->text,
                "the kernel 'hopper' was built %s sm_90a and needs compute capability 9.0; this GPU has %d.%d",
                LOWBIT_SM_90A ? "for" : "without", major, minor);
  return false;
}

}  // namespace lowbit::kernels::cuda
