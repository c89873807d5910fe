#include <lowbit/plugin/plugin.h>

#include <memory>

#include "@name@.h"

namespace {

void add_modules(lowbit::Registries& registries) {
  registries.quantization.solvers.add<@Class@Options>(
      "@name@", "rounds to nearest with scales fitted by least squares", "write your paper here",
      [](const @Class@Options& options) { return std::make_unique<@Class@>(options); });
}

}  // namespace

LOWBIT_PLUGIN("@name@", "0.1.0", add_modules)
