#include "lowbit/quantization/recipe.h"
#include "quantization/transforms/awq.h"
#include "quantization/transforms/group_scaling.h"
#include "quantization/transforms/head.h"
#include "quantization/transforms/quarot.h"
#include "quantization/transforms/smoothquant.h"

namespace lowbit {

void register_builtin_model_transforms(QuantizationRegistries& registries) {
  registries.model_transforms.add<QuarotOptions>(
      "quarot", "rotates states, values and the input of down_proj, so that no channel stands out",
      "Ashkboos et al., QuaRot, arXiv 2404.00456",
      [](const QuarotOptions& options) { return std::make_unique<Quarot>(options); });
  registries.model_transforms.add<HeadOptions>(
      "head", "rounds the head to nearest; one tied to the embedding gets a matrix of its own", "",
      [](const HeadOptions& options) { return std::make_unique<QuantizedHead>(options); });
}

void register_builtin_block_steps(QuantizationRegistries& registries) {
  registries.block_steps.add<SmoothQuantOptions>(
      "smoothquant", "moves a part of the inputs' spread into the weights",
      "Xiao et al., SmoothQuant, arXiv 2211.10438",
      [](const SmoothQuantOptions& options) { return std::make_unique<SmoothQuant>(options); });
  registries.block_steps.add<AwqOptions>(
      "awq", "scales input channels, and clips ranges, for least change of module outputs on the solver's grid",
      "Lin et al., AWQ, arXiv 2306.00978", [](const AwqOptions& options) { return std::make_unique<Awq>(options); });
  registries.execution_readers.add<InputScalingOptions>(
      InputScalingOptions::kRecordName, "inputs divided by channel", "",
      [](const InputScalingOptions&) { return make_input_scaling_reader(); });
}

}  // namespace lowbit
