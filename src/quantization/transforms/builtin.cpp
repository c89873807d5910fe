#include "quantization/transforms/builtin.h"

#include "quantization/transforms/quarot.h"

namespace lowbit {

void register_builtin_model_transforms(Registry<ModelTransform>& registry) {
  registry.add<QuarotOptions>("quarot",
                              "rotate states, values and the input of down_proj, so that no channel stands out",
                              "Ashkboos et al., QuaRot, arXiv 2404.00456",
                              [](const QuarotOptions& options) { return std::make_unique<Quarot>(options); });
}

}  // namespace lowbit
