#include "lowbit/quantization/recipe.h"

#include <algorithm>

namespace lowbit {

void DriverOptions::visit(FieldVisitor& v) {
  v.field("true_sequential", true_sequential,
          "solve a block's groups of linears one after the other, each on inputs that passed the solved ones");
  v.field("propagate_quantized", propagate_quantized, "later blocks see the outputs of the solved blocks");
}

Hash Recipe::hash() const {
  Hasher hasher;
  hasher.add(resolved_.to_yaml());
  for (const int version : versions_) hasher.add(version);
  for (const ModuleOrigin& plugin : plugins_) hasher.add(plugin.hash);
  return hasher.finish();
}

const WeightSolver* Recipe::solver(std::string_view layer) const {
  for (const SolverRule& rule : solvers_) {
    if (!rule.patterns.claims(layer)) continue;
    for (const SolverRule::Override& entry : rule.overrides) {
      if (entry.patterns.claims(layer)) return entry.solver.get();
    }
    return rule.solver.get();
  }
  return nullptr;
}

std::vector<const ExecutionStep*> Recipe::executions(std::string_view layer, ExecutionStep::Kind kind) const {
  std::vector<const ExecutionStep*> steps;
  for (const ExecutionRule& rule : executions_) {
    if (rule.execution->kind() == kind && rule.patterns.claims(layer)) steps.push_back(rule.execution.get());
  }
  return steps;
}

StatisticsNeeds Recipe::needs(Stream stream) const {
  StatisticsNeeds joined;
  const auto join = [&](const StatisticsNeeds& needs) {
    if (needs.any() && needs.stream == stream) joined = joined | needs;
  };
  for (const auto& step : block_steps_) join(step->needs());
  for (const SolverRule& rule : solvers_) {
    join(rule.solver->needs());
    for (const SolverRule::Override& entry : rule.overrides) join(entry.solver->needs());
  }
  for (const ExecutionRule& rule : executions_) join(rule.execution->needs());
  return joined;
}

StatisticsNeeds Recipe::needs() const {
  StatisticsNeeds of_float = needs(Stream::kFloat);
  of_float.stream = Stream::kQuantized;
  return of_float | needs(Stream::kQuantized);
}

bool Recipe::needs_calibration() const {
  return needs(Stream::kFloat).any() || needs(Stream::kQuantized).any() ||
         std::any_of(block_steps_.begin(), block_steps_.end(), [](const auto& step) { return step->needs_inputs(); });
}

}  // namespace lowbit
