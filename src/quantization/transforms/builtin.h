#pragma once

#include "lowbit/quantization/steps.h"
#include "lowbit/registry/registry.h"

namespace lowbit {

void register_builtin_model_transforms(Registry<ModelTransform>& registry);

}  // namespace lowbit
