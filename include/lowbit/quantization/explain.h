#pragma once

#include <string>

#include "lowbit/base/export.h"
#include "lowbit/model/architecture.h"
#include "lowbit/quantization/recipe.h"

namespace lowbit {

/// What each step of a recipe will do to which layers of a model, for people: several lines, each with its end.
[[nodiscard]] LOWBIT_EXPORT std::string explain_recipe(const Recipe& recipe, const Architecture& architecture);

}  // namespace lowbit
