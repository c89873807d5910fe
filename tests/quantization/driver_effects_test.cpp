// Which layers' inputs each option of the driver changes, seen through the Hessians that a solver is handed.
#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lowbit/formats/quantized_weight.h"
#include "lowbit/tensor/factory.h"
#include "quantization/small_run.h"

namespace lowbit {
namespace {

using testing::SmallRun;

struct NoOptions {
  void visit(FieldVisitor&) {}
};

using Hessians = std::map<std::string, at::Tensor>;

// Rounds to three bits and keeps the Hessian of each layer.
class Probe : public WeightSolver {
 public:
  explicit Probe(Hessians& seen) : seen_(seen) {}
  StatisticsNeeds needs() const override {
    StatisticsNeeds needs;
    needs.hessian = true;
    return needs;
  }
  GridSpec grid() const override {
    GridSpec grid;
    grid.bits = 3;
    grid.group = 16;
    return grid;
  }
  QuantizedWeight solve(const LinearProblem& problem) const override {
    seen_[problem.layer] = problem.statistics->hessian().clone();
    return quantize_to_nearest(problem.weight, grid());
  }
  int version() const override { return 1; }

 private:
  Hessians& seen_;
};

// The inputs of the float model's linears.
class FloatTap : public TapSink {
 public:
  void input(std::string_view group, const at::Tensor& x) override {
    StatisticsNeeds needs;
    needs.hessian = true;
    statistics.try_emplace(std::string(group), x.size(1), needs).first->second.add(x);
  }
  std::map<std::string, Statistics> statistics;
};

class DriverEffects : public ::testing::Test {
 protected:
  Hessians hessians(const std::string& driver) {
    Hessians seen;
    SmallRun run;
    run.registries.solvers.add<NoOptions>("probe", "", "",
                                          [&](const NoOptions&) { return std::make_unique<Probe>(seen); });
    (void)run.quantize("[" + driver + "{probe: {}}]", "out");
    return seen;
  }

  // By layer, of the unquantized model.
  static Hessians float_hessians() {
    const SmallRun run;
    Hessians result;
    std::vector<at::Tensor> inputs;
    for (const auto& sequence : run.calibration().sequences) {
      const std::vector<std::int64_t> ids(sequence.begin(), sequence.end());
      inputs.push_back(run.model().embed(tensor_of(std::span<const std::int64_t>(ids)).unsqueeze(0)));
    }
    const RopeTable rope = make_rope_table(run.model().architecture(), inputs[0].size(1));
    for (std::int64_t index = 0; index < 2; ++index) {
      const auto block = run.model().block(index);
      FloatTap tap;
      for (at::Tensor& input : inputs) input = block->forward(input, rope, nullptr, &tap);
      for (const FusedGroup& group : block->fused_groups()) {
        for (const std::string& linear : group.linears) {
          result[block->name() + "." + linear] = tap.statistics.at(group.name).hessian();
        }
      }
    }
    return result;
  }

  static std::vector<std::string> differing(const Hessians& a, const Hessians& b) {
    std::vector<std::string> names;
    for (const auto& [name, hessian] : a) {
      if (!hessian.equal(b.at(name))) names.push_back(name.substr(std::string("model.layers.").size()));
    }
    return names;
  }
};

const std::vector<std::string> kBlock1 = {"1.mlp.down_proj",    "1.mlp.gate_proj",    "1.mlp.up_proj",
                                          "1.self_attn.k_proj", "1.self_attn.o_proj", "1.self_attn.q_proj",
                                          "1.self_attn.v_proj"};

// True-sequential: what lies behind a solved linear of the same block, and that alone, besides the blocks that follow.
TEST_F(DriverEffects, TrueSequentialChangesTheHessiansBehindSolvedLinears) {
  const Hessians reference = float_hessians();
  const Hessians in_order = hessians("");
  const Hessians at_once = hessians("{driver: {true_sequential: false}}, ");
  std::vector<std::string> behind = {"0.mlp.down_proj", "0.mlp.gate_proj", "0.mlp.up_proj", "0.self_attn.o_proj"};
  EXPECT_EQ(differing(at_once, reference), kBlock1);
  std::vector<std::string> all = behind;
  all.insert(all.end(), kBlock1.begin(), kBlock1.end());
  EXPECT_EQ(differing(in_order, reference), all);
  // Round-to-nearest does not look at the Hessian: both solve to the same weights, so block 1 gets the same inputs.
  std::vector<std::string> expected = behind;
  for (const char* name : {"1.mlp.down_proj", "1.mlp.gate_proj", "1.mlp.up_proj", "1.self_attn.o_proj"}) {
    expected.emplace_back(name);
  }
  EXPECT_EQ(differing(in_order, at_once), expected);
}

TEST_F(DriverEffects, WithoutPropagationEachBlockStartsFromTheFloatModel) {
  const Hessians reference = float_hessians();
  EXPECT_TRUE(
      differing(hessians("{driver: {propagate_quantized: false, true_sequential: false}}, "), reference).empty());
  const std::vector<std::string> within = {"0.mlp.down_proj", "0.mlp.gate_proj", "0.mlp.up_proj", "0.self_attn.o_proj",
                                           "1.mlp.down_proj", "1.mlp.gate_proj", "1.mlp.up_proj", "1.self_attn.o_proj"};
  EXPECT_EQ(differing(hessians("{driver: {propagate_quantized: false}}, "), reference), within);
}

// Quantized inputs carry noise on top of the float ones; to first order it adds its own second moment to the Hessian.
TEST_F(DriverEffects, PropagatedErrorAddsEnergyToTheInputsOfLaterBlocks) {
  const Hessians reference = float_hessians();
  const Hessians propagated = hessians("");
  for (const char* linear : {"self_attn.o_proj", "mlp.down_proj"}) {
    const std::string name = std::string("model.layers.1.") + linear;
    const double before = reference.at(name).diagonal().sum().item<double>();
    const double change = (propagated.at(name) - reference.at(name)).norm().item<double>();
    EXPECT_GT(change, 1e-3 * before) << name;
    EXPECT_LT(change, before) << name;  // the inputs are still those of the same text
  }
}

}  // namespace
}  // namespace lowbit
