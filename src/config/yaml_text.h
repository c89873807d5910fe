#pragma once

#include <string>

#include "lowbit/config/node.h"

namespace lowbit {

/// One line of flow-style YAML: 4, text, [a, b], {a: 1}.
[[nodiscard]] std::string to_flow_yaml(const ConfigNode& node);

}  // namespace lowbit
