#include "lowbit/quantization/recipe.h"
#include "quantization/activations/activations.h"

namespace lowbit {

void register_builtin_executions(QuantizationRegistries& registries) {
  registries.execution_steps.add<ActivationOptions>(
      "activations", "rounds the inputs of solved layers, per token, per tensor or per group", "",
      [](const ActivationOptions& options) { return std::make_unique<ActivationStep>(options); });
  registries.execution_readers.add<ActivationScheme>(
      ActivationScheme::kRecordName, "rounded inputs", "",
      [](const ActivationScheme& scheme) { return std::make_unique<ActivationReader>(scheme); });
}

}  // namespace lowbit
