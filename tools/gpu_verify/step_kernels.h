#pragma once

#include <functional>
#include <string>
#include <vector>

#include "device.h"
#include "results.h"

namespace lowbit::gpu_verify {

/// A check of one kernel of a decode step.
struct StepKernelCase {
  std::string name;
  std::function<void(const Gpu&, const std::string&, Results&)> run;
};

[[nodiscard]] std::vector<StepKernelCase> step_kernel_cases(bool tiny);

}  // namespace lowbit::gpu_verify
