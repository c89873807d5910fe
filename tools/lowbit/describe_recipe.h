#pragma once

#include <string>

#include "session.h"

namespace lowbit::cli {

/// Prints what each step of recipes will do to the layers of a model: `text` is a list of steps or an experiment with
/// its recipes, as YAML, a file, or the name of one in configs/.
int describe_recipe(const Session& session, const std::string& text, const std::string& model);

}  // namespace lowbit::cli
