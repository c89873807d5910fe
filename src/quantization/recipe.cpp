#include "lowbit/quantization/recipe.h"

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

const ExecutionStep* Recipe::execution(std::string_view layer) const {
  for (const ExecutionRule& rule : executions_) {
    if (rule.patterns.claims(layer)) return rule.execution.get();
  }
  return nullptr;
}

StatisticsNeeds Recipe::needs() const {
  StatisticsNeeds needs;
  for (const auto& step : block_steps_) needs = needs | step->needs();
  for (const SolverRule& rule : solvers_) {
    needs = needs | rule.solver->needs();
    for (const SolverRule::Override& entry : rule.overrides) needs = needs | entry.solver->needs();
  }
  for (const ExecutionRule& rule : executions_) needs = needs | rule.execution->needs();
  return needs;
}

}  // namespace lowbit
