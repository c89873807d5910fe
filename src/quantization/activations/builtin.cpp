#include "lowbit/quantization/recipe.h"
#include "quantization/activations/activations.h"
#include "quantization/activations/llm_int8.h"

namespace lowbit {

void register_builtin_executions(QuantizationRegistries& registries) {
  registries.execution_steps.add<ActivationOptions>(
      "activations", "rounds the inputs of solved layers, per token, per tensor or per group", "",
      [](const ActivationOptions& options) { return std::make_unique<ActivationStep>(options); });
  registries.execution_steps.add<LlmInt8Options>(
      LlmInt8Options::kRecordName, "rounds inputs to 8 bits per token, but for columns with outliers",
      "Dettmers et al., LLM.int8(), arXiv 2208.07339",
      [](const LlmInt8Options& options) { return std::make_unique<LlmInt8Step>(options); });
  registries.execution_readers.add<ActivationScheme>(
      ActivationScheme::kRecordName, "rounded inputs", "",
      [](const ActivationScheme& scheme) { return std::make_unique<ActivationReader>(scheme); });
  registries.execution_readers.add<LlmInt8Options>(
      LlmInt8Options::kRecordName, "rounded inputs, but for columns with outliers", "",
      [](const LlmInt8Options& options) { return std::make_unique<LlmInt8Reader>(options); });
}

}  // namespace lowbit
