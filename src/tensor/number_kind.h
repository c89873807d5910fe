#pragma once

#include <c10/core/ScalarType.h>

#include "kernels/cuda/output.h"

namespace lowbit {

/// How the kernels for GPUs call float32, float16 and bfloat16; nothing else reaches them.
[[nodiscard]] inline kernels::cuda::NumberKind kind_of(at::ScalarType type) {
  if (type == at::kFloat) return kernels::cuda::NumberKind::kFloat32;
  return type == at::kHalf ? kernels::cuda::NumberKind::kFloat16 : kernels::cuda::NumberKind::kBFloat16;
}

}  // namespace lowbit
