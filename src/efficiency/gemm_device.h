#pragma once

#include <vector>

#include "lowbit/base/progress.h"
#include "lowbit/efficiency/gemm.h"

namespace lowbit {

/// The timings of `run_gemm_bench` on a device that is not the CPU, by wall clock: of products that are launched one
/// behind the other and then waited for.
[[nodiscard]] std::vector<GemmTiming> time_device_products(const GemmBenchOptions& options, Progress& progress);

}  // namespace lowbit
