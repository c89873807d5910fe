#pragma once

#include "lowbit/model/block.h"

namespace lowbit {

/// Throws `kUnsupported` for a type that models do not compute in, for determinism where nobody can promise it and for
/// packed products where there are none.
void check_compute_options(const ComputeOptions& options);

}  // namespace lowbit
