#include "lowbit/quantization/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace lowbit {
namespace {

constexpr std::string_view kCacheFamily = "KV cache step";

using Count = std::pair<std::string, std::int64_t>;

void count(std::vector<Count>& counts, const std::string& what) {
  const auto found = std::find_if(counts.begin(), counts.end(), [&](const Count& item) { return item.first == what; });
  if (found == counts.end()) {
    counts.emplace_back(what, 1);
  } else {
    ++found->second;
  }
}

std::string slot_of(const std::string& layer) {
  const std::size_t block = layer.find('.', std::string_view("model.layers.").size());
  return layer.substr(block + 1);
}

std::string options_text(const ConfigNode& options) {
  std::vector<std::string> items;
  for (const ConfigNode::Entry& entry : options.entries()) {
    std::string value = entry.value.text();
    if (entry.value.is_sequence()) {
      std::vector<std::string> parts;
      for (const ConfigNode& part : entry.value.items()) parts.push_back(part.text());
      value = fmt::format("[{}]", fmt::join(parts, ", "));
    }
    items.push_back(fmt::format("{} {}", entry.key.text(), value));
  }
  return items.empty() ? "no options" : fmt::format("{}", fmt::join(items, ", "));
}

std::string needs_text(const StatisticsNeeds& needs) {
  std::vector<std::string> items;
  if (needs.hessian) items.emplace_back("second moments");
  if (needs.cross) items.emplace_back("the difference of both streams");
  if (needs.channel_range) items.emplace_back("ranges of channels");
  if (needs.histogram) items.emplace_back("a histogram");
  if (needs.chunk_range) items.emplace_back("ranges of sequences");
  if (needs.sample_tokens > 0) items.push_back(fmt::format("{} sampled tokens", needs.sample_tokens));
  const char* stream = needs.stream == Stream::kFloat ? "float" : "quantized";
  return fmt::format("{} of the {} stream's inputs", fmt::join(items, ", "), stream);
}

// "all 210", or a line a slot with how many blocks it is claimed in.
std::string layers_text(const LayerPatterns& patterns, const std::vector<std::string>& names, std::int64_t blocks) {
  std::vector<Count> slots;
  std::int64_t total = 0;
  for (const std::string& name : names) {
    if (!patterns.claims(name)) continue;
    count(slots, slot_of(name));
    ++total;
  }
  if (total == static_cast<std::int64_t>(names.size())) return fmt::format("all {} linears", total);
  std::vector<std::string> items;
  for (const auto& [slot, claimed] : slots) {
    items.push_back(claimed == blocks ? slot : fmt::format("{} in {} of {} blocks", slot, claimed, blocks));
  }
  return fmt::format("{} of {} linears: {}", total, names.size(), fmt::join(items, ", "));
}

std::string grids_text(const Recipe& recipe, const LayerPatterns& patterns, const std::vector<std::string>& names) {
  std::vector<Count> grids;
  for (const std::string& name : names) {
    if (patterns.claims(name)) count(grids, recipe.solver(name)->grid().text());
  }
  std::vector<std::string> items;
  for (const auto& [grid, layers] : grids) items.push_back(fmt::format("{} ({})", grid, layers));
  return fmt::format("{}", fmt::join(items, ", "));
}

}  // namespace

std::string explain_recipe(const Recipe& recipe, const Architecture& architecture) {
  const std::vector<std::string> names = linear_names(architecture);
  std::string text;
  const auto line = [&](std::string_view label, const std::string& value) {
    text += fmt::format("   {:<8} {}\n", label, value);
  };
  std::size_t number = 0;
  for (const RecipeStep& step : recipe.steps()) {
    text += fmt::format("{}. {} ({}): {}\n", ++number, step.name, step.family, step.summary);
    line("does", step.acts);
    line("options", options_text(step.options));
    if (step.by_layer) line("layers", layers_text(step.patterns, names, architecture.layers));
    if (step.family == "solver") line("grids", grids_text(recipe, step.patterns, names));
    if (step.needs.any()) line("reads", needs_text(step.needs));
    if (step.family == kCacheFamily) line("keeps", recipe.kv_cache()->text(architecture));
  }
  std::vector<Count> floats;
  for (const std::string& name : names) {
    if (recipe.solver(name) == nullptr) count(floats, slot_of(name));
  }
  if (!floats.empty()) {
    std::vector<std::string> items;
    for (const auto& [slot, layers] : floats) items.push_back(fmt::format("{} ({})", slot, layers));
    text += fmt::format("left in float: {}\n", fmt::join(items, ", "));
  }
  text += fmt::format("left in float always: embedding, head, norms, biases\n");
  text += recipe.needs_calibration() ? "needs calibration data\n" : "needs no data\n";
  if (recipe.needs(Stream::kQuantized).any()) {
    text += recipe.driver().propagate_quantized ? "later blocks see the outputs of the quantized blocks before them\n"
                                                : "later blocks see the outputs of the float blocks before them\n";
  }
  return text;
}

}  // namespace lowbit
