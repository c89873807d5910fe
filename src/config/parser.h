#pragma once

#include <string>
#include <string_view>

#include "lowbit/config/node.h"

namespace lowbit {

/// `ConfigNode::parse` for a text that begins `first_column` characters after the start of its first line.
[[nodiscard]] ConfigNode parse_yaml(std::string_view yaml, std::string file, int first_column);

}  // namespace lowbit
