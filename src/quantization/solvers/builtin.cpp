#include "lowbit/quantization/recipe.h"
#include "quantization/solvers/gptq.h"
#include "quantization/solvers/rtn.h"

namespace lowbit {

void register_builtin_solvers(Registry<WeightSolver>& registry) {
  registry.add<RtnOptions>("rtn", "round to nearest, without data", "",
                           [](const RtnOptions& options) { return std::make_unique<RtnSolver>(options); });
  registry.add<GptqOptions>("gptq", "least output error on calibration inputs, column after column",
                            "Frantar et al., GPTQ, arXiv 2210.17323",
                            [](const GptqOptions& options) { return std::make_unique<GptqSolver>(options); });
}

QuantizationRegistries builtin_quantization() {
  QuantizationRegistries registries;
  register_builtin_solvers(registries.solvers);
  register_builtin_model_transforms(registries);
  register_builtin_block_steps(registries);
  register_builtin_executions(registries);
  return registries;
}

}  // namespace lowbit
