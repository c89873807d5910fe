#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "lowbit/base/error.h"
#include "lowbit/model/architecture.h"
#include "lowbit/quantization/recipe.h"

namespace lowbit {
namespace {

constexpr std::string_view kLinears[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                                         "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

// Those that read the same input, as indices of kLinears.
constexpr std::pair<std::size_t, std::size_t> kSharedInputs[] = {{0, 3}, {3, 4}, {4, 6}, {6, 7}};

using MarkedPatterns = std::vector<std::pair<std::string, SourceMark>>;

bool any_matches(const MarkedPatterns& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const auto& pattern) { return matches_pattern(pattern.first, name); });
}

// What a pattern may have been meant to be: layer names, and their ends behind "*.".
std::string layer_suggestion(const std::string& pattern, const std::vector<std::string>& names) {
  std::set<std::string> ends;
  for (const std::string& name : names) {
    for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
      ends.insert(fmt::format("*{}", name.substr(dot)));
      ends.insert(fmt::format("*{}", name.substr(dot + 1)));
    }
  }
  std::vector<std::string> candidates = names;
  candidates.insert(candidates.end(), ends.begin(), ends.end());
  if (const auto near = nearest_name(pattern, candidates)) return fmt::format("; did you mean '{}'?", *near);
  return fmt::format("; the model's layers are '{}' to '{}'", names.front(), names.back());
}

void check_patterns(const MarkedPatterns& patterns, const std::vector<std::string>& names, std::string_view among,
                    const std::vector<std::string>& all, ConfigProblems& problems) {
  for (const auto& [pattern, mark] : patterns) {
    const bool found = std::any_of(names.begin(), names.end(),
                                   [&, &text = pattern](const auto& name) { return matches_pattern(text, name); });
    if (!found)
      problems.add(mark, fmt::format("pattern '{}' matches no {}{}", pattern, among, layer_suggestion(pattern, all)));
  }
}

std::vector<std::string> names_of_block(std::int64_t block) {
  std::vector<std::string> names;
  for (const std::string_view linear : kLinears) names.push_back(fmt::format("model.layers.{}.{}", block, linear));
  return names;
}

template <typename Rule>
void check_double_claims(const std::vector<const Rule*>& rules, const std::vector<std::string>& names,
                         ConfigProblems& problems) {
  for (std::size_t second = 1; second < rules.size(); ++second) {
    for (std::size_t first = 0; first < second; ++first) {
      const auto twice = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
        return rules[first]->patterns.claims(name) && rules[second]->patterns.claims(name);
      });
      if (twice == names.end()) continue;
      problems.add(
          rules[second]->mark,
          fmt::format("layer '{}' is claimed by '{}' and again by '{}'; divide the layers with 'layers' and 'except'",
                      *twice, rules[first]->step, rules[second]->step));
    }
  }
}

// Linears that read one input share what maps it, since their statistics are one.
template <typename Rule>
void check_shared_inputs(const Rule& rule, std::int64_t blocks, ConfigProblems& problems) {
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::vector<std::string> names = names_of_block(block);
    for (const auto& [begin, end] : kSharedInputs) {
      for (std::size_t i = begin + 1; i < end; ++i) {
        if (rule.patterns.claims(names[i]) == rule.patterns.claims(names[begin])) continue;
        problems.add(rule.mark, fmt::format("'{}' maps the input of only one of '{}' and '{}', which read the same one",
                                            rule.step, names[begin], names[i]));
        return;
      }
    }
  }
}

template <typename Rule>
void check_rule(const Rule& rule, const std::vector<std::string>& names, ConfigProblems& problems) {
  check_patterns(rule.patterns.layers, names, "layer", names, problems);
  check_patterns(rule.patterns.except, names, "layer", names, problems);
}

void check_cache(const KvCacheStep& step, const Architecture& architecture, const SourceMark& mark,
                 ConfigProblems& problems) {
  try {
    step.check(architecture);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kConfig) throw;
    problems.add(mark, error.what());
  }
}

}  // namespace

bool LayerPatterns::claims(std::string_view layer) const {
  return (layers.empty() || any_matches(layers, layer)) && !any_matches(except, layer);
}

void Recipe::check_layers(const Architecture& architecture, ConfigProblems& problems) const {
  const std::vector<std::string> names = linear_names(architecture);
  for (const SolverRule& rule : solvers_) {
    check_rule(rule, names, problems);
    std::vector<std::string> own;
    std::copy_if(names.begin(), names.end(), std::back_inserter(own),
                 [&](const auto& name) { return rule.patterns.claims(name); });
    if (own.empty() && !names.empty()) problems.add(rule.mark, fmt::format("no layer is left for '{}'", rule.step));
    for (const auto& entry : rule.overrides) {
      check_patterns(entry.patterns.layers, own, fmt::format("layer of this '{}' step", rule.step), names, problems);
    }
  }
  std::vector<const SolverRule*> solvers;
  for (const SolverRule& rule : solvers_) solvers.push_back(&rule);
  check_double_claims(solvers, names, problems);
  std::vector<const ExecutionRule*> roundings;
  for (const ExecutionRule& rule : executions_) {
    check_rule(rule, names, problems);
    if (rule.execution->kind() == ExecutionStep::Kind::kInputMap) {
      check_shared_inputs(rule, architecture.layers, problems);
      continue;
    }
    roundings.push_back(&rule);
    const auto bare = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
      return rule.patterns.claims(name) && solver(name) == nullptr;
    });
    if (bare != names.end()) {
      problems.add(rule.mark,
                   fmt::format("'{}' rounds the input of '{}', which no solver quantizes; leave that layer out "
                               "with 'except', or give it a solver",
                               rule.step, *bare));
    }
  }
  check_double_claims(roundings, names, problems);
  if (kv_cache_) check_cache(*kv_cache_, architecture, kv_cache_mark_, problems);
}

// Two pointers and the place behind the last star: no recursion, at most |pattern| * |name| steps.
bool matches_pattern(std::string_view pattern, std::string_view name) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

std::vector<std::string> linear_names(const Architecture& architecture) {
  std::vector<std::string> names;
  for (std::int64_t block = 0; block < architecture.layers; ++block) {
    for (std::string& name : names_of_block(block)) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace lowbit
