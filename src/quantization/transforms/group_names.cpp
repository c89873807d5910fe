#include "quantization/transforms/group_names.h"

#include <fmt/format.h>

#include <algorithm>

namespace lowbit {

const std::vector<std::string>& group_names() {
  static const std::vector<std::string> names = {"attention_input", "o_input", "mlp_input", "down_input"};
  return names;
}

std::string_view group_names_help() {
  return "inputs to scale: attention_input (of q, k, v), o_input, mlp_input (of gate, up), down_input";
}

void check_group_names(const std::vector<std::string>& groups, ConfigProblems& problems, const SourceMark& mark) {
  const auto& known = group_names();
  if (groups.empty()) problems.add(mark, "'groups' is empty; name at least one, or leave the step out");
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (std::find(known.begin(), known.end(), groups[i]) == known.end()) {
      problems.add(mark, fmt::format("'groups' has no '{}'{}", groups[i], suggestion(groups[i], known)));
    } else if (std::find(groups.begin(), groups.begin() + static_cast<std::ptrdiff_t>(i), groups[i]) !=
               groups.begin() + static_cast<std::ptrdiff_t>(i)) {
      problems.add(mark, fmt::format("'groups' names '{}' twice", groups[i]));
    }
  }
}

}  // namespace lowbit
