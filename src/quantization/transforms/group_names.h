#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lowbit/config/node.h"

namespace lowbit {

/// Names of `Block::fused_groups` that a recipe's `groups` may hold.
[[nodiscard]] const std::vector<std::string>& group_names();
[[nodiscard]] std::string_view group_names_help();
/// Unknown and repeated names, and an empty list, are problems.
void check_group_names(const std::vector<std::string>& groups, ConfigProblems& problems, const SourceMark& mark);

}  // namespace lowbit
