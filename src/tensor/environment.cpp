#include "lowbit/tensor/environment.h"

#include <ATen/Version.h>
#include <torch/version.h>

namespace lowbit {

std::string cpu_capability() { return at::get_cpu_capability(); }
std::string torch_version() { return TORCH_VERSION; }

}  // namespace lowbit
