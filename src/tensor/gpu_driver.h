#pragma once

#include <string>

namespace lowbit {

/// Why GPU `index` cannot be used by a program built with CUDA `runtime` (13000 for 13.0) whose kernels begin at compute
/// capability `least` (75 for 7.5), as NVIDIA's driver tells, with the remedy: "this machine has no NVIDIA driver; install
/// one". Empty where the driver sees no reason. Nothing of CUDA is linked: `library` is loaded by its name.
[[nodiscard]] std::string gpu_obstacle(int index, int runtime, int least, const char* library = "libcuda.so.1");

}  // namespace lowbit
