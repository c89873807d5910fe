#include "kernels/cuda/hopper_dispatch.h"
#include "kernels/cuda/hopper_launch.cuh"
#include "kernels/cuda/hopper_thread.cuh"
#include "kernels/cuda/launch.cuh"

namespace lowbit::kernels::cuda {

namespace {

/// A kernel with a thread of Hopper. Its instructions exist for sm_90a alone: elsewhere nobody starts it.
template <typename Kernel>
struct ForHopper {
  static constexpr int kThreads = Kernel::kThreads;
  static constexpr int kResidentBlocks = Kernel::kResidentBlocks;
  template <typename Call>
  static __device__ void run(DeviceThread&, const Call& call) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    HopperThread thread;
    Kernel::run(thread, call);
#else
    __trap();
#endif
  }
};

struct HopperLauncher {
  Launcher launcher;
  template <typename Kernel, typename Call>
  bool launch(const GridSize& grid, const Call& call) {
    return launcher.launch<ForHopper<Kernel>>(grid, call);
  }
};

bool is_hopper(Report* report) {
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

}  // namespace

bool hopper_product(NumberKind number, const HalfProduct& call, const Launch& launch, Report* report) {
  if (!is_hopper(report)) return false;
  HopperLauncher launcher{Launcher(launch, report)};
  return number == NumberKind::kFloat16 ? dispatch_hopper<Float16, 4>(call, launcher)
                                        : dispatch_hopper<BFloat16, 4>(call, launcher);
}

bool arrange_operands(const OperandCall& call, const Launch& launch, Report* report) {
  Launcher launcher(launch, report);
  return dispatch_arrange_operands(call, launcher);
}

bool has_hopper(std::int32_t* result, Report* report) {
  *report = Report{};
  *result = is_hopper(report) ? 1 : 0;
  if (report->failure != Failure::kCapability) return report->failure == Failure::kNone;
  *report = Report{};
  return true;
}

}  // namespace lowbit::kernels::cuda
