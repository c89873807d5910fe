// What acts while a model runs must be the same in the run that made an artifact and in the model read from it.
#include "lowbit/model/runtime_readers.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <map>

#include "model/model_cases.h"
#include "quantization/small_run.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::SmallRun;

struct NoOptions {
  void visit(FieldVisitor&) {}
};

struct TurnOptions {
  int steps = 1;
  void visit(FieldVisitor& v) { v.field("steps", steps, "channels to turn by", {1, 8}); }
};

// An exact map of the input: channels move, and with a tensor of its own signs change.
class Turn : public LinearExecution {
 public:
  Turn(int steps, at::Tensor signs) : steps_(steps), signs_(std::move(signs)) {}
  at::Tensor map_input(const at::Tensor& x) const override { return x.roll(steps_, -1).mul(signs_); }
  RuntimeRecord record() const override { return {"turn", echo_fields(TurnOptions{steps_}), {{"turn_signs", signs_}}}; }
  std::string text() const override { return "turn"; }

 private:
  int steps_;
  at::Tensor signs_;
};

at::Tensor alternating(std::int64_t size) { return make_arange(size, DType::kFloat32).remainder(2).mul(2).sub(1); }

class TurnStep : public ExecutionStep {
 public:
  explicit TurnStep(const TurnOptions& options) : options_(options) {}
  Kind kind() const override { return Kind::kInputMap; }
  std::shared_ptr<const LinearExecution> make(const LinearSlot& slot, const Statistics*) const override {
    return std::make_shared<Turn>(options_.steps, alternating(slot.op->in_features()));
  }
  int version() const override { return 1; }

 private:
  TurnOptions options_;
};

class TurnReader : public ExecutionReader {
 public:
  explicit TurnReader(const TurnOptions& options) : options_(options) {}
  std::shared_ptr<const LinearExecution> read(const std::map<std::string, at::Tensor>& tensors,
                                              const LinearOp&) const override {
    return std::make_shared<Turn>(options_.steps, tensors.at("turn_signs"));
  }

 private:
  TurnOptions options_;
};

void register_turn(QuantizationRegistries& registries) {
  registries.execution_steps.add<TurnOptions>("turn", "turns", "",
                                              [](const TurnOptions& o) { return std::make_unique<TurnStep>(o); });
  registries.execution_readers.add<TurnOptions>("turn", "turns", "",
                                                [](const TurnOptions& o) { return std::make_unique<TurnReader>(o); });
}

std::shared_ptr<Model> reload(const SmallRun& run, const std::string& output) {
  return Model::make(run.artifact(output), nullptr, {}, Model::Residency::kResident, runtime_readers(run.registries));
}

at::Tensor ids() { return make_arange(20, DType::kInt64).unsqueeze(0); }

// The model as the run saw it, put together by hand: stored weights, executions made by the recipe's steps.
at::Tensor logits_by_hand(const SmallRun& run, const std::string& yaml, const std::string& output) {
  const auto recipe = testing::recipe_of(yaml, run.registries);
  const auto weights = run.artifact(output);
  const RopeTable rope = make_rope_table(run.model().architecture(), 20);
  at::Tensor hidden = run.model().embed(ids());
  for (std::int64_t index = 0; index < 2; ++index) {
    Block block = *run.model().block(index);
    for (LinearSlot& slot : block.linears()) {
      const std::string layer = block.name() + "." + slot.name;
      if (const auto stored = weights->load_quantized(layer)) slot.op = make_float_linear(stored->dequantize(), {});
      for (const auto kind : {ExecutionStep::Kind::kInputMap, ExecutionStep::Kind::kRounding}) {
        for (const ExecutionStep* step : recipe->executions(layer, kind)) {
          slot.executions.push_back(step->make(slot, nullptr));
        }
      }
    }
    hidden = block.forward(hidden, rope);
  }
  return run.model().logits(hidden);
}

TEST(RuntimeReaders, GiveTheLogitsOfTheRunBitForBit) {
  SmallRun run;
  register_turn(run.registries);
  const std::string recipes[] = {
      "[{rtn: {bits: 8, group: -1}}, {activations: {bits: 8}}]",
      "[{gptq: {bits: 4, group: 16}}, {activations: {bits: 4, per: group, group: 8, symmetry: asymmetric}}]",
      "[{rtn: {bits: 4, group: 16}}, {turn: {steps: 3}}, {activations: {type: fp8}}]",
      "[{rtn: {bits: 4, group: 16}, layers: ['*_proj'], except: ['*.o_proj']}, {turn: {}, layers: ['*.o_proj']}]",
  };
  for (std::size_t i = 0; i < std::size(recipes); ++i) {
    const std::string output = "out" + std::to_string(i);
    (void)run.quantize(recipes[i], output);
    const at::Tensor found = testing::logits_of(*reload(run, output), ids());
    EXPECT_TRUE(found.equal(logits_by_hand(run, recipes[i], output))) << recipes[i];
    const at::Tensor bare = logits_by_hand(run, "[{rtn: {}}]", output);
    EXPECT_FALSE(found.equal(bare)) << recipes[i];
  }
}

TEST(RuntimeReaders, RestoreStaticRangesBitForBit) {
  // The ranges are known to the run only, so both streams must agree: a resumed run reads block 0 back and moves the
  // stream of block 1 through what it has read.
  SmallRun run;
  const std::string yaml = "[{gptq: {bits: 4, group: 16}}, {activations: {per: tensor, range: mse}}]";
  (void)run.quantize(yaml, "whole");
  Cancellation cancellation;
  testing::CancelAfter progress(cancellation, 1);
  EXPECT_THROW((void)quantize(run.request(yaml, "resumed"), progress, cancellation), Error);
  EXPECT_EQ(run.quantize(yaml, "resumed").resumed_blocks, 1);
  EXPECT_EQ(run.hashes("whole"), run.hashes("resumed"));
  EXPECT_TRUE(
      testing::logits_of(*reload(run, "whole"), ids()).equal(testing::logits_of(*reload(run, "resumed"), ids())));
  const auto records = run.artifact("whole")->executions("model.layers.1.mlp.down_proj");
  ASSERT_EQ(records.size(), 1U);
  EXPECT_GT(records.front().tensors.at("input_scale").item<float>(), 0);
}

TEST(RuntimeReaders, LetSolversSeeMappedInputs) {
  // What a solver sees of a mapped input must be the statistics of that input, not of the one before the map.
  SmallRun run;
  register_turn(run.registries);
  struct Seen {
    at::Tensor hessian;
  } seen;
  class Spy : public WeightSolver {
   public:
    explicit Spy(Seen& seen) : seen_(seen) {}
    StatisticsNeeds needs() const override { return {.hessian = true}; }
    GridSpec grid() const override { return {}; }
    QuantizedWeight solve(const LinearProblem& problem) const override {
      seen_.hessian = problem.statistics->hessian();
      return quantize_to_nearest(problem.weight, grid());
    }
    int version() const override { return 1; }

   private:
    Seen& seen_;
  };
  run.registries.solvers.add<NoOptions>("spy", "", "", [&](const NoOptions&) { return std::make_unique<Spy>(seen); });
  const std::string spy = "{spy: {}, layers: ['model.layers.0.mlp.down_proj']}";
  (void)run.quantize("[" + spy + "]", "plain");
  const at::Tensor plain = seen.hessian;
  (void)run.quantize("[" + spy + ", {turn: {steps: 5}, layers: ['model.layers.0.mlp.down_proj']}]", "turned");
  const at::Tensor signs = to_dtype(alternating(plain.size(0)), DType::kFloat64);
  const at::Tensor expected = plain.roll({5, 5}, {0, 1}).mul(signs.unsqueeze(0)).mul(signs.unsqueeze(1));
  EXPECT_TRUE(seen.hessian.equal(expected));
}

TEST(RuntimeReaders, NameWhatTheyDoNotKnow) {
  const RuntimeReaders readers = runtime_readers(builtin_quantization());
  const auto op = make_float_linear(make_zeros({2, 2}, DType::kFloat32), {});
  EXPECT_EQ(testing::error_text(ErrorCode::kUnsupported,
                                [&] {
                                  (void)readers.execution({"activation", {}, {}}, *op);
                                }),
            "no execution is registered as 'activation'; did you mean 'activations'?; load the plugin that brings it");
  EXPECT_EQ(testing::error_text(
                ErrorCode::kData,
                [&] {
                  (void)readers.execution({"activations", ConfigNode::parse("{per: tensor}", "record"), {}}, *op);
                }),
            "tensor 'input_scale' of a static range is missing");
  EXPECT_EQ(testing::error_text(ErrorCode::kUnsupported,
                                [&] {
                                  (void)readers.kv_cache({"kept", {}, {}});
                                }),
            "no KV cache step is registered as 'kept'; known: 'kivi', 'kv_cache'; load the plugin that brings it");
}

}  // namespace
}  // namespace lowbit
