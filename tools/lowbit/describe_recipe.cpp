#include "describe_recipe.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/quantization/explain.h"

namespace lowbit::cli {
namespace {

struct NamedSteps {
  std::string name;
  ConfigNode steps;
};

// A file, else configs/<name>.yaml, else YAML.
ConfigNode load(const std::string& text, const Resources& resources) {
  std::error_code error;
  for (const std::filesystem::path& share : resources.shares) {
    const std::filesystem::path named = share / "configs" / (text + ".yaml");
    if (text.find_first_of("[{:\n") == std::string::npos && std::filesystem::is_regular_file(named, error)) {
      return ConfigNode::load(named);
    }
  }
  return yaml_argument(text, "recipe");
}

// Sweeps are written out, recipes that are artifacts left out: nothing is done to these.
std::vector<NamedSteps> recipes_in(const ConfigNode& node) {
  if (node.is_sequence()) return {{"recipe", node}};
  const ConfigNode* recipes = node.find("recipes");
  if (recipes == nullptr || !recipes->is_map()) {
    fail(ErrorCode::kConfig,
         "{}: expected a list of steps, such as [{{rtn: {{bits: 4}}}}], or an experiment with 'recipes'",
         node.mark().text());
  }
  std::vector<NamedSteps> result;
  ConfigProblems problems;
  for (const ConfigNode::Entry& entry : recipes->entries()) {
    if (!entry.value.is_sequence()) continue;
    for (const auto& [label, steps] : expand_sweeps(entry.value, problems)) {
      result.push_back({label.empty() ? entry.key.text() : fmt::format("{} ({})", entry.key.text(), label), steps});
    }
  }
  problems.throw_if_any();
  return result;
}

// The model that the experiment names first, unless the command line names one.
std::string model_of(const ConfigNode& node, const std::string& given) {
  if (!given.empty()) return given;
  const ConfigNode* models = node.is_map() ? node.find("models") : nullptr;
  if (models == nullptr || !models->is_sequence() || models->items().empty()) return "smollm2-135m";
  return models->items().front().text();
}

}  // namespace

int describe_recipe(const Session& session, const std::string& text, const std::string& model) {
  const Resources resources = session.resources();
  const ConfigNode node = load(text, resources);
  const QuantizationRegistries registries = session.registries().quantization;
  const std::vector<NamedSteps> recipes = recipes_in(node);
  const ModelEntry entry = find_model(model_of(node, model), resources);
  const Architecture architecture = open_weights(entry.path)->architecture();
  ConfigProblems problems;
  std::string output;
  for (const NamedSteps& named : recipes) {
    const auto recipe = Recipe::decode(named.name, named.steps, registries, problems);
    if (!recipe) continue;
    recipe->check_layers(architecture, problems);
    if (!problems.empty()) continue;
    output += fmt::format("{}{} on {}\n{}", output.empty() ? "" : "\n", named.name, entry.name,
                          explain_recipe(*recipe, architecture));
  }
  problems.throw_if_any();
  fmt::print("{}", output);
  return 0;
}

}  // namespace lowbit::cli
