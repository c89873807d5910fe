#include "kernels/cuda/expand_dispatch.h"
#include "kernels/cuda/expand_launch.cuh"
#include "kernels/cuda/launch.cuh"

namespace lowbit::kernels::cuda {

namespace {

struct DeviceLaunchers {
  static Launcher make(const Launch& launch, Report* report) { return {launch, report}; }
};
using Functions = CheckedExpansion<DeviceLaunchers>;

}  // namespace

bool expand_codes(const ExpandCodesCall* call, const Launch* launch, Report* report) {
  return Functions::expand_codes(call, launch, report);
}
bool finish_bytes(const FinishBytesCall* call, const Launch* launch, Report* report) {
  return Functions::finish_bytes(call, launch, report);
}
bool expand_table(NumberKind number, const ExpandCall* call, const Launch* launch, Report* report) {
  return Functions::expand_table(number, call, launch, report);
}

}  // namespace lowbit::kernels::cuda
