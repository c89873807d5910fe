#pragma once

#include <memory>

#include "lowbit/config/fields.h"
#include "lowbit/data/examples.h"

namespace lowbit {

/// Decodes the part "generation" of a task; mistakes are added to `problems`.
[[nodiscard]] std::shared_ptr<const GenerationTask> decode_generation(const ConfigNode& node, ConfigProblems& problems);

}  // namespace lowbit
