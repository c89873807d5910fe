#include "model/compute_options.h"

#include "lowbit/base/error.h"
#include "lowbit/tensor/device_packed.h"

namespace lowbit {

void check_compute_options(const ComputeOptions& options) {
  if (options.dtype != DType::kFloat32 && options.dtype != DType::kBFloat16) {
    fail(ErrorCode::kUnsupported, "models compute in float32 or bfloat16, not in {}", dtype_name(options.dtype));
  }
  if (options.deterministic && !options.device.is_cpu()) {
    fail(ErrorCode::kUnsupported,
         "deterministic results are promised on 'cpu' only; set 'deterministic: false' to compute on '{}'",
         options.device.str());
  }
  if (options.execution == Execution::kPacked && (!is_packed_device(options.device) || options.differentiable)) {
    fail(ErrorCode::kUnsupported,
         "packed products run on 'cpu' and 'cuda', without gradients; set 'execution: simulated' to compute on '{}'{}",
         options.device.str(), options.differentiable ? " with gradients" : "");
  }
}

}  // namespace lowbit
