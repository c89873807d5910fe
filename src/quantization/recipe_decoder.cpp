#include "quantization/recipe_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace lowbit {
namespace {

constexpr std::string_view kDriver = "driver";

// Steps stand in the order in which they act.
enum Rank { kModelRank, kBlockRank, kSolverRank, kExecutionRank, kKvCacheRank, kModelStepRank };
constexpr std::string_view kRankReasons[] = {
    "rewrites the whole model before its blocks",
    "rewrites weights before they are rounded",
    "rounds weights",
    "runs around the products of solved layers",
    "runs in the attention of solved blocks",
    "works on the finished model",
};

bool is_layer_key(std::string_view key) { return key == "layers" || key == "except" || key == "overrides"; }

ConfigNode::Entry entry(std::string_view key, ConfigNode value) {
  return {ConfigNode::scalar(std::string(key)), std::move(value)};
}

ConfigNode echo_patterns(const std::vector<std::pair<std::string, SourceMark>>& patterns) {
  std::vector<ConfigNode> items;
  for (const auto& pattern : patterns) items.push_back(ConfigNode::scalar(pattern.first));
  return ConfigNode::sequence(std::move(items));
}

std::vector<ConfigNode::Entry> echo_claims(const LayerPatterns& patterns) {
  std::vector<ConfigNode::Entry> entries;
  if (!patterns.layers.empty()) entries.push_back(entry("layers", echo_patterns(patterns.layers)));
  if (!patterns.except.empty()) entries.push_back(entry("except", echo_patterns(patterns.except)));
  return entries;
}

}  // namespace

std::shared_ptr<const Recipe> Recipe::decode(const std::string& name, const ConfigNode& node,
                                             const QuantizationRegistries& registries, ConfigProblems& problems) {
  return RecipeDecoder(registries, problems).decode(name, node);
}

std::shared_ptr<const Recipe> RecipeDecoder::decode(const std::string& name, const ConfigNode& node) {
  const std::size_t before = problems_.size();
  recipe_ = std::make_shared<Recipe>();
  recipe_->name_ = name;
  if (!node.is_sequence() || node.items().empty()) {
    problems_.add(node.mark(), fmt::format("recipe '{}' is a list of steps, such as [{{rtn: {{bits: 4}}}}]", name));
    return nullptr;
  }
  for (const ConfigNode& item : node.items()) {
    Step step;
    if (take_apart(item, step)) decode_step(step);
  }
  if (!has_solver_) {
    for (const auto& [mark, message] : solver_wanted_) problems_.add(mark, message);
  }
  if (problems_.size() != before) return nullptr;
  echo_.insert(echo_.begin(), ConfigNode::map({entry(kDriver, echo_fields(recipe_->driver_))}));
  recipe_->resolved_ = ConfigNode::sequence(std::move(echo_));
  return recipe_;
}

bool RecipeDecoder::take_apart(const ConfigNode& node, Step& step) {
  if (!node.is_map()) {
    problems_.add(node.mark(), "a step is a map with one name, such as {rtn: {bits: 4}}");
    return false;
  }
  std::vector<std::string> names;
  for (const ConfigNode::Entry& item : node.entries()) {
    const std::string& key = item.key.text();
    if (key == "layers") {
      step.layers = &item.value;
    } else if (key == "except") {
      step.except = &item.value;
    } else if (key == "overrides") {
      step.overrides = &item.value;
    } else if (names.empty()) {
      names.push_back(key);
      step.name = key;
      step.mark = item.key.mark();
      step.options = item.value;
    } else {
      std::vector<std::string> known = known_steps();
      known.insert(known.end(), {"layers", "except", "overrides"});
      problems_.add(item.key.mark(), fmt::format("step '{}' has a second name '{}'; write one step an entry{}",
                                                 step.name, key, suggestion(key, known)));
      return false;
    }
  }
  if (names.empty()) problems_.add(node.mark(), "a step needs a name" + suggestion("", known_steps()));
  return !names.empty();
}

void RecipeDecoder::decode_step(const Step& step) {
  if (step.name == kDriver) return decode_driver(step);
  if (registries_.solvers.contains(step.name)) return decode_solver(step);
  if (registries_.execution_steps.contains(step.name)) return decode_execution(step);
  if (registries_.model_transforms.contains(step.name)) {
    check_order(step, kModelRank);
    refuse_layer_keys(step, registries_.model_transforms.family());
    if (auto made = make(registries_.model_transforms, step)) recipe_->model_transforms_.push_back(std::move(made));
  } else if (registries_.block_steps.contains(step.name)) {
    check_order(step, kBlockRank);
    refuse_layer_keys(step, registries_.block_steps.family());
    if (auto made = make(registries_.block_steps, step)) {
      if (made->needs_solver()) need_solver(step, "prepares weights for the grid of a solver");
      recipe_->block_steps_.push_back(std::move(made));
    }
  } else if (registries_.kv_cache_steps.contains(step.name)) {
    check_order(step, kKvCacheRank);
    refuse_layer_keys(step, registries_.kv_cache_steps.family());
    if (recipe_->kv_cache_)
      problems_.add(step.mark, fmt::format("'{}' is a second KV cache step; a recipe has one", step.name));
    recipe_->kv_cache_mark_ = step.mark;
    recipe_->kv_cache_ = make(registries_.kv_cache_steps, step);
    if (recipe_->kv_cache_) {
      ConfigNode settings = registries_.kv_cache_steps.resolve(step.name, step.mark, step.options, problems_);
      recipe_->kv_cache_record_ = RuntimeRecord{step.name, std::move(settings), {}};
    }
  } else if (registries_.model_steps.contains(step.name)) {
    check_order(step, kModelStepRank);
    refuse_layer_keys(step, registries_.model_steps.family());
    if (auto made = make(registries_.model_steps, step)) recipe_->model_steps_.push_back(std::move(made));
  } else {
    problems_.add(step.mark, fmt::format("unknown step '{}'{}", step.name, suggestion(step.name, known_steps())));
  }
}

void RecipeDecoder::decode_driver(const Step& step) {
  if (has_driver_) {
    problems_.add(step.mark, fmt::format("a second 'driver' entry; the first stands at {}", driver_mark_.text()));
  }
  has_driver_ = true;
  driver_mark_ = step.mark;
  refuse_layer_keys(step, kDriver);
  decode_fields(step.options, recipe_->driver_, problems_);
}

template <typename Interface>
std::unique_ptr<Interface> RecipeDecoder::make(const Registry<Interface>& registry, const Step& step) {
  std::unique_ptr<Interface> made = registry.create(step.name, step.mark, step.options, problems_);
  if (!made) return nullptr;
  note_step(registry, step, *made, nullptr);
  echo_step(step, registry.resolve(step.name, step.mark, step.options, problems_), {}, made->version());
  note_origin(registry.origin_of(step.name));
  return made;
}

template <typename Interface>
void RecipeDecoder::note_step(const Registry<Interface>& registry, const Step& step, const Interface& made,
                              const LayerPatterns* patterns) {
  RecipeStep noted;
  noted.name = step.name;
  noted.family = registry.family();
  for (const ModuleInfo& module : registry.modules()) {
    if (module.name == step.name) noted.summary = module.summary;
  }
  noted.acts = kRankReasons[last_rank_];
  noted.options = registry.resolve(step.name, step.mark, step.options, problems_);
  if constexpr (requires { made.needs(); }) noted.needs = made.needs();
  noted.by_layer = patterns != nullptr;
  if (patterns != nullptr) noted.patterns = *patterns;
  recipe_->steps_.push_back(std::move(noted));
}

void RecipeDecoder::decode_solver(const Step& step) {
  has_solver_ = true;
  check_order(step, kSolverRank);
  Recipe::SolverRule rule;
  rule.mark = step.mark;
  rule.step = step.name;
  rule.patterns = decode_patterns(step.layers, step.except);
  rule.solver = registries_.solvers.create(step.name, step.mark, step.options, problems_);
  if (!rule.solver) return;
  std::vector<ConfigNode::Entry> more = echo_claims(rule.patterns);
  if (step.overrides != nullptr) {
    std::vector<ConfigNode> echo;
    if (!step.overrides->is_sequence()) {
      problems_.add(step.overrides->mark(), "'overrides' is a list such as [{layers: ['*.down_proj'], bits: 8}]");
      return;
    }
    for (const ConfigNode& node : step.overrides->items()) decode_override(step, node, rule, echo);
    more.push_back(entry("overrides", ConfigNode::sequence(std::move(echo))));
  }
  echo_step(step, registries_.solvers.resolve(step.name, step.mark, step.options, problems_), std::move(more),
            rule.solver->version());
  note_step(registries_.solvers, step, *rule.solver, &rule.patterns);
  note_origin(registries_.solvers.origin_of(step.name));
  recipe_->solvers_.push_back(std::move(rule));
}

void RecipeDecoder::decode_override(const Step& step, const ConfigNode& node, Recipe::SolverRule& rule,
                                    std::vector<ConfigNode>& echo) {
  const ConfigNode* layers = node.is_map() ? node.find("layers") : nullptr;
  if (layers == nullptr || node.entries().size() < 2) {
    problems_.add(node.mark(), "an override is a map of 'layers' and the options that differ there");
    return;
  }
  // The step's own options, replaced or joined by those of the override; marks stay where each value was written.
  std::vector<ConfigNode::Entry> options;
  if (step.options.is_map()) options = step.options.entries();
  for (const ConfigNode::Entry& item : node.entries()) {
    if (is_layer_key(item.key.text())) {
      if (item.key.text() != "layers") {
        problems_.add(item.key.mark(), fmt::format("'{}' does not belong in an override", item.key.text()));
      }
      continue;
    }
    const auto same = std::find_if(options.begin(), options.end(),
                                   [&](const auto& own) { return own.key.text() == item.key.text(); });
    if (same != options.end()) {
      *same = item;
    } else {
      options.push_back(item);
    }
  }
  const ConfigNode merged = ConfigNode::map(std::move(options), node.mark());
  Recipe::SolverRule::Override made;
  made.patterns = decode_patterns(layers, nullptr);
  made.solver = registries_.solvers.create(step.name, step.mark, merged, problems_);
  if (!made.solver) return;
  std::vector<ConfigNode::Entry> entries = echo_claims(made.patterns);
  const ConfigNode resolved = registries_.solvers.resolve(step.name, step.mark, merged, problems_);
  entries.insert(entries.end(), resolved.entries().begin(), resolved.entries().end());
  echo.push_back(ConfigNode::map(std::move(entries)));
  rule.overrides.push_back(std::move(made));
}

void RecipeDecoder::decode_execution(const Step& step) {
  check_order(step, kExecutionRank);
  if (step.overrides != nullptr) problems_.add(step.overrides->mark(), "'overrides' belongs to weight solvers only");
  Recipe::ExecutionRule rule;
  rule.mark = step.mark;
  rule.step = step.name;
  rule.patterns = decode_patterns(step.layers, step.except);
  rule.execution = registries_.execution_steps.create(step.name, step.mark, step.options, problems_);
  if (!rule.execution) return;
  if (rule.execution->kind() == ExecutionStep::Kind::kRounding) need_solver(step, "rounds the inputs of solved layers");
  echo_step(step, registries_.execution_steps.resolve(step.name, step.mark, step.options, problems_),
            echo_claims(rule.patterns), rule.execution->version());
  note_step(registries_.execution_steps, step, *rule.execution, &rule.patterns);
  note_origin(registries_.execution_steps.origin_of(step.name));
  recipe_->executions_.push_back(std::move(rule));
}

void RecipeDecoder::note_origin(const ModuleOrigin& origin) {
  std::vector<ModuleOrigin>& plugins = recipe_->plugins_;
  if (origin.built_in() || std::find(plugins.begin(), plugins.end(), origin) != plugins.end()) return;
  plugins.push_back(origin);
}

void RecipeDecoder::check_order(const Step& step, int rank) {
  if (rank < last_rank_) {
    problems_.add(step.mark, fmt::format("'{}' {}, but '{}' before it {}; put '{}' first", step.name,
                                         kRankReasons[rank], last_step_, kRankReasons[last_rank_], step.name));
    return;
  }
  last_rank_ = rank;
  last_step_ = step.name;
}

void RecipeDecoder::need_solver(const Step& step, std::string_view why) {
  solver_wanted_.emplace_back(
      step.mark,
      fmt::format("'{}' {}, and the recipe has no solver; add one, such as {{rtn: {{bits: 8}}}}", step.name, why));
}

void RecipeDecoder::refuse_layer_keys(const Step& step, std::string_view family) {
  const std::pair<std::string_view, const ConfigNode*> keys[] = {
      {"layers", step.layers}, {"except", step.except}, {"overrides", step.overrides}};
  for (const auto& [key, node] : keys) {
    if (node != nullptr) {
      problems_.add(node->mark(), fmt::format("'{}' has no meaning for '{}', a {}", key, step.name, family));
    }
  }
}

LayerPatterns RecipeDecoder::decode_patterns(const ConfigNode* layers, const ConfigNode* except) {
  LayerPatterns patterns;
  decode_pattern_list(layers, "layers", patterns.layers);
  decode_pattern_list(except, "except", patterns.except);
  return patterns;
}

void RecipeDecoder::decode_pattern_list(const ConfigNode* node, std::string_view key,
                                        std::vector<std::pair<std::string, SourceMark>>& out) {
  if (node == nullptr) return;
  if (!node->is_sequence() || node->items().empty()) {
    problems_.add(node->mark(),
                  fmt::format("'{}' is a list of patterns over layer names, such as ['*.down_proj']", key));
    return;
  }
  for (const ConfigNode& item : node->items()) {
    if (!item.is_scalar() || item.text().empty()) {
      problems_.add(item.mark(), fmt::format("a pattern of '{}' is a text such as '*.down_proj'", key));
    } else {
      out.emplace_back(item.text(), item.mark());
    }
  }
}

std::vector<std::string> RecipeDecoder::known_steps() const {
  std::vector<std::string> names{std::string(kDriver)};
  const auto append = [&](std::vector<std::string> more) {
    names.insert(names.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  append(registries_.model_transforms.names());
  append(registries_.block_steps.names());
  append(registries_.solvers.names());
  append(registries_.execution_steps.names());
  append(registries_.kv_cache_steps.names());
  append(registries_.model_steps.names());
  return names;
}

void RecipeDecoder::echo_step(const Step& step, ConfigNode options, std::vector<ConfigNode::Entry> more, int version) {
  more.insert(more.begin(), entry(step.name, std::move(options)));
  echo_.push_back(ConfigNode::map(std::move(more)));
  recipe_->versions_.push_back(version);
}

}  // namespace lowbit
