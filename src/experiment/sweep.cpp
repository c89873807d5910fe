#include <algorithm>
#include <utility>

#include "lowbit/experiment/experiment.h"

namespace lowbit {
namespace {

// One place of a tree that holds {sweep: [...]}.
struct Sweep {
  std::string path;  // dotted
  std::string name;  // the key that holds it, for labels
  std::vector<ConfigNode> values;
};

const ConfigNode* sweep_values(const ConfigNode& node) {
  if (!node.is_map() || node.entries().size() != 1) return nullptr;
  const auto& entry = node.entries().front();
  return entry.key.text() == "sweep" ? &entry.value : nullptr;
}

std::string join_path(const std::string& path, const std::string& key) { return path.empty() ? key : path + "." + key; }

void find_sweeps(const ConfigNode& node, const std::string& path, const std::string& name, std::vector<Sweep>& found,
                 ConfigProblems& problems) {
  if (const ConfigNode* values = sweep_values(node)) {
    if (!values->is_sequence() || values->items().empty()) {
      problems.add(values->mark(), "'sweep' needs a list of at least one value");
      return;
    }
    for (const ConfigNode& value : values->items()) {
      std::vector<Sweep> nested;
      find_sweeps(value, "", "", nested, problems);
      if (!nested.empty()) problems.add(value.mark(), "a sweep inside a sweep; list all values in one");
    }
    found.push_back({path, name, values->items()});
  } else if (node.is_map()) {
    for (const auto& [key, value] : node.entries())
      find_sweeps(value, join_path(path, key.text()), key.text(), found, problems);
  } else if (node.is_sequence()) {
    std::size_t index = 0;
    for (const ConfigNode& item : node.items())
      find_sweeps(item, join_path(path, std::to_string(index++)), name, found, problems);
  }
}

std::string value_text(const ConfigNode& value) {
  if (value.is_scalar()) return value.text();
  std::string text = value.to_yaml();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// More cells than anybody can run, and trees that fit into memory when all of them are written out.
constexpr std::size_t kMostPoints = 10'000;
constexpr std::size_t kMostNodes = 1'000'000;

std::size_t count_nodes(const ConfigNode& node) {
  std::size_t count = 1;
  if (node.is_map()) {
    for (const ConfigNode::Entry& entry : node.entries()) count += 1 + count_nodes(entry.value);
  } else if (node.is_sequence()) {
    for (const ConfigNode& item : node.items()) count += count_nodes(item);
  }
  return count;
}

bool are_few(const std::vector<Sweep>& sweeps, std::size_t most) {
  std::size_t points = 1;
  for (const Sweep& sweep : sweeps) {
    if (sweep.values.size() > most / points) return false;
    points *= sweep.values.size();
  }
  return true;
}

}  // namespace

std::vector<std::pair<std::string, ConfigNode>> expand_sweeps(const ConfigNode& node, ConfigProblems& problems) {
  std::vector<Sweep> sweeps;
  const std::size_t problems_before = problems.size();
  find_sweeps(node, "", "", sweeps, problems);
  const std::size_t most = std::max<std::size_t>(1, std::min(kMostPoints, kMostNodes / count_nodes(node)));
  if (!are_few(sweeps, most)) {
    problems.add(node.mark(), fmt::format("the sweeps in here make more than {} combinations", most));
  }
  if (problems.size() != problems_before) return {};
  std::vector<std::pair<std::string, ConfigNode>> expanded = {{"", node}};
  for (const Sweep& sweep : sweeps) {
    std::vector<std::pair<std::string, ConfigNode>> next;
    for (const auto& [label, tree] : expanded) {
      for (const ConfigNode& value : sweep.values) {
        const std::string part = fmt::format("{}={}", sweep.name.empty() ? "value" : sweep.name, value_text(value));
        next.emplace_back(label.empty() ? part : label + "," + part,
                          sweep.path.empty() ? value : tree.with(sweep.path, value));
      }
    }
    expanded = std::move(next);
  }
  return expanded;
}

}  // namespace lowbit
