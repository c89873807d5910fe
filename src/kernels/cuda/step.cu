#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/step_dispatch.h"
#include "kernels/cuda/step_launch.cuh"

namespace lowbit::kernels::cuda {

namespace {

struct DeviceLaunchers {
  static Launcher make(const Launch& launch, Report* report) { return {launch, report}; }
};
using Functions = CheckedStep<DeviceLaunchers>;

}  // namespace

bool norm_rows(const NormCall* call, const Launch* launch, Report* report) {
  return Functions::norm_rows(call, launch, report);
}
bool gate_rows(const GateCall* call, const Launch* launch, Report* report) {
  return Functions::gate_rows(call, launch, report);
}
bool attend_cached(const CachedAttentionCall* call, const Launch* launch, Report* report) {
  return Functions::attend_cached(call, launch, report);
}
bool multiply_together(const HalfProduct* products, std::int32_t count, const Launch* launch, Report* report) {
  return Functions::multiply_together(products, count, launch, report);
}
bool multiply_integers_together(const IntegerProduct* products, std::int32_t count, const Launch* launch,
                                Report* report) {
  return Functions::multiply_integers_together(products, count, launch, report);
}
bool multiply_gated(const GatedCall* call, const Launch* launch, Report* report) {
  return Functions::multiply_gated(call, launch, report);
}

}  // namespace lowbit::kernels::cuda
