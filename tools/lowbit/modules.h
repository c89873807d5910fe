#pragma once

#include <string>
#include <vector>

#include "lowbit/experiment/experiment.h"

namespace lowbit::cli {

struct ModuleFamily {
  std::string family;
  std::vector<ModuleInfo> modules;
};
/// Everything registered, family by family.
[[nodiscard]] std::vector<ModuleFamily> module_families(const Registries& registries);

}  // namespace lowbit::cli
