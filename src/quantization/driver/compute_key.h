#pragma once

#include "lowbit/base/hash.h"
#include "lowbit/model/block.h"
#include "lowbit/tensor/environment.h"

namespace lowbit {

/// Adds all of the way of computing that bits depend on: settings, processor and LibTorch.
inline Hasher& add_compute(Hasher& hasher, const ComputeOptions& compute) {
  return hasher.add(dtype_name(compute.dtype))
      .add(compute.deterministic)
      .add(compute.device.is_cpu() ? "" : compute.device.str())
      .add(cpu_capability())
      .add(torch_version());
}

}  // namespace lowbit
