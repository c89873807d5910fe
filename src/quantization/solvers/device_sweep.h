#pragma once

#include "quantization/solvers/column_sweep.h"

namespace lowbit {

/// What `sweep_columns` does, on `request.device`: chunks of columns by a kernel of ours where it takes them, else
/// column by column of all rows by LibTorch's operations, as the first chunk is for a check, too. Only fits take place
/// in main memory, of least and largest weights where these suffice. `result` is as the sweep begins with, in main
/// memory. What a chunk changes behind it are LibTorch's products, which add up in another order than on the CPU, so
/// that a weight half way between two numbers may go to the other one.
void sweep_on_device(const SweepRequest& request, SweepResult& result);

/// Whether `ColumnKernel` solves the columns: integers with whole or real zeros, rounded to the nearest (SpQR rounds
/// otherwise), on a device that it serves.
[[nodiscard]] bool kernel_takes(const SweepRequest& request);

/// Holds the squared error of a layer's first columns by the kernel against that by LibTorch's operations; `whole` is
/// that of weights of 0 instead. Throws `kDevice` where they are not alike.
void check_kernel(double expected, double loss, double whole);

}  // namespace lowbit
