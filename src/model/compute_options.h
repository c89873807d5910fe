#pragma once

#include "lowbit/model/block.h"

namespace lowbit {

/// Throws `kUnsupported` for a type that models do not compute in, and for determinism where nobody can promise it.
void check_compute_options(const ComputeOptions& options);

}  // namespace lowbit
