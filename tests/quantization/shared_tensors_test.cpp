#include "lowbit/quantization/shared_tensors.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "quantization/solvers/gptq.h"
#include "quantization/solvers/layers.h"
#include "quantization/solvers/spqr.h"

namespace lowbit {
namespace {

using testing::correlated_inputs;
using testing::hessian_statistics;
using testing::normal_matrix;
using testing::same_bits;
using testing::Solved;

// As `testing::solve`, among linears that share their input.
Solved solve_among(const WeightSolver& solver, const at::Tensor& weight, const Statistics& statistics,
                   SharedTensors& shared) {
  Solved solved;
  LinearProblem problem;
  problem.layer = "model.layers.0.mlp.up_proj";
  problem.weight = weight.clone();
  problem.statistics = &statistics;
  problem.shared = &shared;
  problem.report = [&](std::string_view what, double value) {
    solved.events.push_back({problem.layer, std::string(what), value});
  };
  solved.weight = solver.solve(problem);
  return solved;
}

GptqOptions three_bits() {
  GptqOptions options;
  options.grid.bits = 3;
  options.grid.group = 8;
  return options;
}

// Three tokens for 24 columns, without damping: the Hessian is singular.
Statistics few_tokens() { return hessian_statistics(correlated_inputs(3, 24, "few")); }

TEST(SharedTensors, MakeEachOnce) {
  SharedTensors shared;
  int made = 0;
  const auto make = [&] { return make_full({2}, ++made, DType::kFloat32); };
  EXPECT_TRUE(shared.get("a", make).equal(make_full({2}, 1, DType::kFloat32)));
  EXPECT_TRUE(shared.get("b", make).equal(make_full({2}, 2, DType::kFloat32)));
  EXPECT_TRUE(shared.get("a", make).equal(make_full({2}, 1, DType::kFloat32)));
  EXPECT_EQ(made, 2);
}

TEST(SharedTensors, KeepNothingOfWhatFailed) {
  SharedTensors shared;
  EXPECT_THROW((void)shared.get("a", []() -> at::Tensor { throw std::runtime_error("no"); }), std::runtime_error);
  EXPECT_TRUE(shared.get("a", [] { return make_full({1}, 5, DType::kFloat32); }).defined());
}

TEST(SharedTensors, ChangeNoBitOfASolver) {
  const Statistics statistics = hessian_statistics(correlated_inputs(60, 24, "inputs"));
  GptqOptions ordered = three_bits();
  ordered.act_order = true;
  GptqOptions damped = three_bits();
  damped.damping = 0.1;
  const GptqSolver solvers[] = {GptqSolver(three_bits()), GptqSolver(ordered), GptqSolver(damped)};
  const SpqrSolver spqr{SpqrOptions{}};
  SharedTensors shared;  // of all: order and damping are part of the key
  for (const char* name : {"q", "k"}) {
    const at::Tensor weight = normal_matrix(16, 24, name);
    for (const WeightSolver* solver :
         {static_cast<const WeightSolver*>(&solvers[0]), static_cast<const WeightSolver*>(&solvers[1]),
          static_cast<const WeightSolver*>(&solvers[2]), static_cast<const WeightSolver*>(&spqr)}) {
      const QuantizedWeight alone = testing::solve(*solver, weight, &statistics).weight;
      const QuantizedWeight among = solve_among(*solver, weight, statistics, shared).weight;
      EXPECT_TRUE(same_bits(among.codes, alone.codes)) << name;
      EXPECT_TRUE(same_bits(among.scales, alone.scales)) << name;
    }
  }
}

// Inputs with some channels negated have the same diagonal, order and mean, and another Hessian: what is found is that
// of the first.
TEST(SharedTensors, SpareASecondFactorization) {
  const at::Tensor inputs = correlated_inputs(60, 24, "inputs");
  const at::Tensor signs = normal_matrix(1, 24, "signs").sign();
  const Statistics first = hessian_statistics(inputs);
  const Statistics other = hessian_statistics((inputs * signs).contiguous());
  const GptqSolver solver(three_bits());
  const at::Tensor weight = normal_matrix(16, 24, "weight");
  SharedTensors shared;
  (void)solve_among(solver, weight, first, shared);
  const at::Tensor found = solve_among(solver, weight, other, shared).weight.codes;
  EXPECT_TRUE(same_bits(found, testing::solve(solver, weight, &first).weight.codes));
  EXPECT_FALSE(same_bits(found, testing::solve(solver, weight, &other).weight.codes));
}

TEST(SharedTensors, HideNoEventOfTheLinearsThatFind) {
  const Statistics statistics = few_tokens();
  GptqOptions options = three_bits();
  options.damping = 0;
  const GptqSolver solver(options);
  const at::Tensor weight = normal_matrix(16, 24, "weight");
  const std::vector<SolverEvent> alone = testing::solve(solver, weight, &statistics).events;
  ASSERT_GE(alone.size(), 2U);
  SharedTensors shared;
  for (int linear = 0; linear < 2; ++linear) {
    const std::vector<SolverEvent> events = solve_among(solver, weight, statistics, shared).events;
    ASSERT_EQ(events.size(), alone.size()) << linear;
    for (std::size_t i = 0; i < events.size(); ++i) {
      EXPECT_EQ(events[i].what, alone[i].what);
      EXPECT_EQ(events[i].value, alone[i].value);
    }
  }
}

}  // namespace
}  // namespace lowbit
