#pragma once

#include "quantization/solvers/column_sweep.h"

namespace lowbit {

/// What `sweep_columns` does, by LibTorch's operations on `request.device`, each of which takes a column of all rows.
/// Only fits take place in main memory. `result` is as the sweep begins with, in main memory. Products add up in
/// another order than on the CPU, so that a weight half way between two numbers may go to the other one.
void sweep_on_device(const SweepRequest& request, SweepResult& result);

}  // namespace lowbit
