#pragma once

#include "kernels/cuda/report.h"
#include "kernels/cuda/solve_columns.h"

// The library's function of a solver, which solve_columns.cu defines.
namespace lowbit::kernels::cuda {

bool solve_columns(const SolveColumnsCall* call, const Launch* launch, Report* report);

}  // namespace lowbit::kernels::cuda
