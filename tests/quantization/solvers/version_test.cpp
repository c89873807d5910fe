#include <gtest/gtest.h>

#include <map>
#include <string>

#include "lowbit/quantization/recipe.h"
#include "quantization/solvers/layers.h"

namespace lowbit {
namespace {

// Rows of an upper bidiagonal matrix of ones. Its Gram matrix, the Cholesky factor, the inverse and all products are
// small whole numbers over powers of two, so that no instruction set and no order of sums rounds differently.
at::Tensor exact_inputs(std::int64_t channels) {
  at::Tensor inputs = make_eye(channels, DType::kFloat32);
  const std::span<float> values = mutable_values_of<float>(inputs);
  for (std::int64_t row = 0; row + 1 < channels; ++row)
    values[static_cast<std::size_t>(row * channels + row + 1)] = 1.0F;
  return inputs;
}

at::Tensor exact_weight(std::int64_t rows, std::int64_t columns) {
  const Random random(7, "versions");
  at::Tensor weight = make_empty({rows, columns}, DType::kFloat32);
  std::uint64_t counter = 0;
  for (float& value : mutable_values_of<float>(weight)) {
    value = static_cast<float>(static_cast<double>(random.below(counter++, 257)) - 128.0) / 64.0F;
  }
  return weight;
}

std::string hash_of_output(const Registry<WeightSolver>& registry, const std::string& name,
                           const std::string& options) {
  ConfigProblems problems;
  const auto solver = registry.create(name, {}, ConfigNode::parse(options, "options"), problems);
  problems.throw_if_any();
  LinearProblem problem;
  problem.layer = "layer";
  problem.weight = exact_weight(8, 32);
  const StatisticsNeeds needs = solver->needs();
  Statistics statistics(32, needs);
  const at::Tensor inputs = exact_inputs(32);
  statistics.add(inputs, needs.cross ? (inputs * 1.5).contiguous() : at::Tensor());
  problem.statistics = needs.any() ? &statistics : nullptr;
  problem.report = [](std::string_view, double) {};
  const QuantizedWeight solved = solver->solve(problem);
  return std::to_string(solver->version()) + " " + solved.content_hash().hex();
}

// Stored results are found by a key that holds each solver's version. When this test fails, the solver's output
// changed: raise its version() and put the new line here, so that nobody is given results of the older program as the
// newer's.
TEST(SolverVersion, IsRaisedWhenTheOutputChanges) {
  Registry<WeightSolver> registry("solver");
  register_builtin_solvers(registry);
  struct Golden {
    std::string options, version_and_hash;
  };
  const std::map<std::string, Golden> golden = {
      {"easyquant", {"{bits: 3, group: 16}", "1 bf4201cb1a4b76f380934e4b6706275a"}},
      {"gptaq", {"{bits: 3, group: 16, damping: 0}", "3 ae14f28df2b0af8fa94c8a77f3818c8e"}},
      {"gptq", {"{bits: 3, group: 16, damping: 0}", "3 005e305845f28643cfaf769137961784"}},
      {"hqq", {"{bits: 3, group: 16}", "1 bbf395f01885d5e20007ea2306861913"}},
      {"rtn", {"{bits: 3, group: 16}", "2 0712ed370780e04c58972abebaa4a3e0"}},
      {"spqr", {"{bits: 3, group: 16, damping: 0}", "2 687dc9b6437423f982f7751348a6cef5"}},
      {"zeroquant", {"{bits: 3, group: 16}", "2 c05ea8053e11d10d0d2b0fa78ea967ad"}},
  };
  for (const std::string& name : registry.names()) {
    const auto found = golden.find(name);
    ASSERT_NE(found, golden.end()) << "solver '" << name << "' has no golden output here";
    EXPECT_EQ(hash_of_output(registry, name, found->second.options), found->second.version_and_hash) << name;
  }
}

}  // namespace
}  // namespace lowbit
