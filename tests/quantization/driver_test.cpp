#include "lowbit/quantization/driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"
#include "quantization/driver/block_pass.h"
#include "quantization/small_run.h"
#include "quantization/solvers/gptq.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::error_text;
using ::testing::HasSubstr;
using testing::SmallRun;

constexpr const char* kGptq = "[{gptq: {bits: 3, group: 16}}]";

std::vector<at::Tensor> embedded(const SmallRun& run) {
  std::vector<at::Tensor> result;
  for (const auto& sequence : run.calibration().sequences) {
    const std::vector<std::int64_t> ids(sequence.begin(), sequence.end());
    result.push_back(run.model().embed(tensor_of(std::span<const std::int64_t>(ids)).unsqueeze(0)));
  }
  return result;
}

// Collects one group's input during a plain forward pass.
class HessianTap : public TapSink {
 public:
  HessianTap(std::string group, std::int64_t channels) : group_(std::move(group)), statistics(channels, needs()) {}
  static StatisticsNeeds needs() {
    StatisticsNeeds result;
    result.hessian = true;
    return result;
  }
  void input(std::string_view group, const at::Tensor& x) override {
    if (group == group_) statistics.add(x);
  }

 private:
  std::string group_;

 public:
  Statistics statistics;
};

QuantizedWeight solve_by_hand(const Block& block, const std::string& linear, const std::string& group,
                              const std::vector<at::Tensor>& inputs) {
  const RopeTable rope = make_rope_table(block.architecture(), inputs[0].size(1));
  const at::Tensor weight = block.linear(linear).op->dense_weight();
  HessianTap tap(group, weight.size(1));
  for (const at::Tensor& input : inputs) (void)block.forward(input, rope, nullptr, &tap);
  GptqOptions options;
  options.grid.bits = 3;
  options.grid.group = 16;
  LinearProblem problem;
  problem.layer = linear;
  problem.weight = weight.clone();
  problem.statistics = &tap.statistics;
  return GptqSolver(options).solve(problem);
}

void replace(Block& block, const std::string& linear, const QuantizedWeight& weight) {
  block.linear(linear).op = make_float_linear(weight.dequantize(), {});
}

TEST(Driver, SolvesLayersAsByHand) {
  const SmallRun run;
  (void)run.quantize(kGptq, "out");
  const std::vector<at::Tensor> inputs = embedded(run);
  Block block = *run.model().block(0);
  for (const char* linear : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}) {
    const QuantizedWeight expected = solve_by_hand(*run.model().block(0), linear, "attention_input", inputs);
    EXPECT_EQ(run.layer("out", std::string("model.layers.0.") + linear).content_hash(), expected.content_hash())
        << linear;
    replace(block, linear, expected);
  }
  // True-sequential: o_proj sees what passed the solved q, k and v.
  const QuantizedWeight expected = solve_by_hand(block, "self_attn.o_proj", "o_input", inputs);
  EXPECT_EQ(run.layer("out", "model.layers.0.self_attn.o_proj").content_hash(), expected.content_hash());
}

TEST(Driver, LaterBlocksSeeOutputsOfSolvedOnes) {
  const SmallRun run;
  (void)run.quantize(kGptq, "out");
  Block first = *run.model().block(0);
  for (const LinearSlot& slot : run.model().block(0)->linears()) {
    replace(first, slot.name, run.layer("out", "model.layers.0." + slot.name));
  }
  std::vector<at::Tensor> inputs = embedded(run);
  const RopeTable rope = make_rope_table(first.architecture(), inputs[0].size(1));
  for (at::Tensor& input : inputs) input = first.forward(input, rope);
  const QuantizedWeight expected = solve_by_hand(*run.model().block(1), "self_attn.k_proj", "attention_input", inputs);
  EXPECT_EQ(run.layer("out", "model.layers.1.self_attn.k_proj").content_hash(), expected.content_hash());
}

TEST(Driver, WithoutPropagationBlocksSeeTheFloatStream) {
  const SmallRun run;
  (void)run.quantize("[{driver: {propagate_quantized: false}}, {gptq: {bits: 3, group: 16}}]", "out");
  std::vector<at::Tensor> inputs = embedded(run);
  const RopeTable rope = make_rope_table(run.model().architecture(), inputs[0].size(1));
  for (at::Tensor& input : inputs) input = run.model().block(0)->forward(input, rope);
  const QuantizedWeight expected = solve_by_hand(*run.model().block(1), "self_attn.k_proj", "attention_input", inputs);
  EXPECT_EQ(run.layer("out", "model.layers.1.self_attn.k_proj").content_hash(), expected.content_hash());
}

TEST(Driver, WithoutTrueSequentialAllGroupsSeeTheUnsolvedBlock) {
  const SmallRun run;
  (void)run.quantize("[{driver: {true_sequential: false}}, {gptq: {bits: 3, group: 16}}]", "out");
  const QuantizedWeight expected = solve_by_hand(*run.model().block(0), "mlp.down_proj", "down_input", embedded(run));
  EXPECT_EQ(run.layer("out", "model.layers.0.mlp.down_proj").content_hash(), expected.content_hash());
}

TEST(Driver, OptionsChangeWhatTheyShould) {
  const SmallRun run;
  (void)run.quantize(kGptq, "plain");
  (void)run.quantize("[{driver: {true_sequential: false}}, {gptq: {bits: 3, group: 16}}]", "at-once");
  (void)run.quantize("[{driver: {propagate_quantized: false}}, {gptq: {bits: 3, group: 16}}]", "float-stream");
  (void)run.quantize("[{gptq: {bits: 3, group: 16, act_order: true}}]", "ordered");
  const auto plain = run.hashes("plain");
  const auto at_once = run.hashes("at-once");
  const auto float_stream = run.hashes("float-stream");
  EXPECT_EQ(at_once[0], plain[0]);  // q_proj of block 0 comes first in both
  EXPECT_NE(at_once[3], plain[3]);
  for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(float_stream[i], plain[i]);
  EXPECT_NE(float_stream[7], plain[7]);
  EXPECT_NE(run.hashes("ordered")[0], plain[0]);
}

TEST(Driver, ResumesToTheSameBits) {
  const SmallRun run;
  for (const char* yaml : {kGptq, "[{rtn: {bits: 4, group: 16}}]"}) {
    const std::string name = yaml == kGptq ? "gptq" : "rtn";
    const QuantizeReport whole = run.quantize(yaml, name + "-whole");
    Cancellation cancellation;
    testing::CancelAfter progress(cancellation, 1);
    EXPECT_THAT(error_text(ErrorCode::kInterrupted,
                           [&] { (void)quantize(run.request(yaml, name + "-cut"), progress, cancellation); }),
                HasSubstr("run the same command again"));
    const QuantizeReport resumed = run.quantize(yaml, name + "-cut");
    EXPECT_EQ(resumed.resumed_blocks, 1);
    EXPECT_EQ(run.hashes(name + "-cut"), run.hashes(name + "-whole"));
    ASSERT_EQ(resumed.layers.size(), whole.layers.size());
    for (std::size_t i = 0; i < whole.layers.size(); ++i) {
      EXPECT_EQ(resumed.layers[i].layer, whole.layers[i].layer);
      EXPECT_EQ(resumed.layers[i].output_error, whole.layers[i].output_error);
    }
    EXPECT_EQ(read_file(run.path(name + "-cut") / "lowbit.json"), read_file(run.path(name + "-whole") / "lowbit.json"));
  }
}

TEST(Driver, FindsAFinishedArtifactFinished) {
  const SmallRun run;
  const QuantizeReport first = run.quantize(kGptq, "out");
  const QuantizeReport second = run.quantize(kGptq, "out");
  EXPECT_EQ(second.resumed_blocks, 2);
  EXPECT_EQ(second.layers.size(), first.layers.size());
  EXPECT_EQ(second.size.file_bytes, first.size.file_bytes);
}

TEST(Driver, ThreadsChangeNoBit) {
  const SmallRun run;
  const int before = thread_count();
  set_thread_count(1);
  const QuantizeReport one = run.quantize(kGptq, "one");
  set_thread_count(2);
  const QuantizeReport two = run.quantize(kGptq, "two");
  set_thread_count(before);
  EXPECT_EQ(run.hashes("one"), run.hashes("two"));
  for (std::size_t i = 0; i < one.layers.size(); ++i) EXPECT_EQ(one.layers[i].output_error, two.layers[i].output_error);
}

TEST(Driver, RoundToNearestNeedsNoCalibration) {
  const SmallRun run;
  QuantizeRequest request = run.request("[{rtn: {bits: 4, group: 16}}]", "out");
  request.calibration = nullptr;
  const QuantizeReport report = quantize(request, *silent_progress(), Cancellation());
  EXPECT_EQ(report.layers.size(), 14U);
  EXPECT_EQ(report.layers[0].grid, "int4 g16 asymmetric");
  EXPECT_EQ(report.layers[0].output_error, -1);
  EXPECT_GT(report.layers[0].weight_error, 0);
  EXPECT_GT(report.size.bits_per_quantized_weight, 4);
}

TEST(Driver, SaysThatARecipeNeedsCalibration) {
  const SmallRun run;
  QuantizeRequest request = run.request(kGptq, "out");
  request.calibration = nullptr;
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { (void)quantize(request, *silent_progress(), Cancellation()); }),
            "recipe 'test' needs calibration data and got none; give a calibration set");
}

TEST(Driver, LeavesSkippedLayersAlone) {
  const SmallRun run;
  const QuantizeReport report =
      run.quantize("[{gptq: {bits: 4, group: 16}, except: ['model.layers.0.*', '*.o_proj']}]", "out");
  EXPECT_EQ(report.layers.size(), 6U);
  const auto hashes = run.hashes("out");
  for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(hashes[i], "float");
  EXPECT_EQ(hashes[10], "float");
  const at::Tensor stored = run.artifact("out")->load("model.layers.0.mlp.up_proj.weight", {44, 32});
  EXPECT_TRUE(stored.equal(run.model().block(0)->linear("mlp.up_proj").op->dense_weight()));
}

TEST(Driver, GivesTheSameBitsWhereverActivationsAreKept) {
  const SmallRun run;
  // Both streams, by a recipe without error propagation.
  for (const std::string& yaml : {std::string(kGptq), std::string("[{gptq: {bits: 3, group: 16}}, {driver: "
                                                                  "{propagate_quantized: false}}]")}) {
    const std::string name = yaml == kGptq ? "propagated" : "float";
    run.quantize(yaml, name);
    for (const DriverMemory memory :
         {DriverMemory{.held_bytes = 0}, DriverMemory{.held_bytes = 0, .spill_streams = true},
          DriverMemory{.spill_streams = true}}) {
      const std::string other = fmt::format("{}-{}-{}", name, memory.held_bytes, memory.spill_streams);
      QuantizeRequest request = run.request(yaml, other);
      request.memory = memory;
      (void)quantize(request, *silent_progress(), Cancellation());
      EXPECT_EQ(run.hashes(other), run.hashes(name)) << other;
    }
  }
}

const char* const kShared =
    "[{{gptq: {{bits: {}, group: 16}}}}, {{driver: {{true_sequential: false, propagate_quantized: false}}}}]";

TEST(Driver, SharesStatisticsBetweenRecipesAndChangesNoBit) {
  const SmallRun run;
  const std::filesystem::path folder = run.path("statistics");
  const auto shared = [&](int bits, const std::string& output) {
    QuantizeRequest request = run.request(fmt::format(fmt::runtime(kShared), bits), output);
    request.statistics = folder;
    (void)quantize(request, *silent_progress(), Cancellation());
    return run.hashes(output);
  };
  const auto files = [&] {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
  };
  for (const int bits : {2, 3, 8}) {
    const std::string alone = fmt::format("alone-{}", bits);
    run.quantize(fmt::format(fmt::runtime(kShared), bits), alone);
    EXPECT_EQ(shared(bits, fmt::format("shared-{}", bits)), run.hashes(alone)) << bits;
    EXPECT_EQ(files().size(), 2U);  // a block each, in one folder
  }
  // A block whose file is gone is collected again.
  std::filesystem::remove(files()[1]);
  EXPECT_EQ(shared(3, "again"), run.hashes("alone-3"));
  // They are what is solved with: another block's give another result, damaged ones none.
  std::filesystem::copy_file(files()[0], files()[1], std::filesystem::copy_options::overwrite_existing);
  EXPECT_NE(shared(3, "others"), run.hashes("alone-3"));
  write_file_atomically(files()[0], "damaged");
  EXPECT_THROW((void)shared(3, "damaged"), Error);
}

TEST(Driver, SharesOnlyWhatEveryRecipeSees) {
  const SmallRun run;
  const auto shares = [&](const std::string& yaml) {
    return shares_statistics(*testing::recipe_of(yaml, run.registries));
  };
  const std::string at_once = "{driver: {true_sequential: false, propagate_quantized: false}}";
  EXPECT_TRUE(shares("[{gptq: {}}, " + at_once + "]"));
  EXPECT_FALSE(shares("[{gptq: {}}]"));
  EXPECT_FALSE(shares("[{gptq: {}}, {driver: {true_sequential: false}}]"));
  EXPECT_FALSE(shares("[{gptq: {}}, {driver: {propagate_quantized: false}}]"));
  EXPECT_FALSE(shares("[{rtn: {}}, " + at_once + "]"));
  EXPECT_FALSE(shares("[{gptaq: {}}, " + at_once + "]"));
  EXPECT_FALSE(shares("[{awq: {}}, {gptq: {}}, " + at_once + "]"));
  EXPECT_FALSE(shares("[{gptq: {}}, {activations: {bits: 8}}, " + at_once + "]"));
}

TEST(Driver, RoundsTheSameWeightsOneByOneAsOfWholeBlocks) {
  const SmallRun run;
  run.quantize("[{rtn: {bits: 4, group: 16}}]", "alone");
  for (const std::string& name : linear_names(run.model().architecture())) {
    const at::Tensor weight = run.model()
                                  .block(name.find(".1.") == std::string::npos ? 0 : 1)
                                  ->linear(name.substr(std::string("model.layers.0.").size()))
                                  .op->dense_weight();
    GridSpec grid;
    grid.group = 16;
    EXPECT_EQ(run.layer("alone", name).content_hash(), quantize_to_nearest(weight, grid, nullptr).content_hash());
  }
}

TEST(Driver, KeepsWhatRunsAroundProductsWhenWeightsAreOnlyRounded) {
  const SmallRun run;
  run.quantize("[{rtn: {bits: 8, group: -1}}, {activations: {bits: 8}}]", "first");
  QuantizeRequest request = run.request("[{rtn: {bits: 4, group: 16}}]", "second");
  request.model = Model::make(run.artifact("first"), std::make_unique<testing::NoTokenizer>(), {},
                              Model::Residency::kStreamed, runtime_readers(run.registries));
  (void)quantize(request, *silent_progress(), Cancellation());
  const auto second = run.artifact("second");
  for (const std::string& name : linear_names(run.model().architecture())) {
    EXPECT_EQ(second->load_quantized(name)->grid.bits, 4) << name;
    ASSERT_EQ(second->executions(name).size(), 1U) << name;
    EXPECT_EQ(second->executions(name)[0].name, run.artifact("first")->executions(name)[0].name);
  }
}

TEST(Driver, ReportsLessOutputErrorThanRounding) {
  const SmallRun run;
  double solved = 0;
  double nearest = 0;
  for (const LayerReport& layer : run.quantize("[{gptq: {bits: 3, group: -1}}]", "out").layers) {
    EXPECT_GT(layer.output_error, 0) << layer.layer;
    solved += layer.output_error;
    nearest += layer.nearest_output_error;
  }
  EXPECT_LT(solved, nearest);
}

TEST(BlockPass, GivesTheSameBitsWhetherStatesAreHeldOrComputedAgain) {
  const SmallRun run;
  const std::vector<at::Tensor> inputs = embedded(run);
  const auto block = run.model().block(0);
  const RopeTable rope = make_rope_table(run.model().architecture(), inputs[0].size(1));
  const Cancellation cancellation;
  HeldStates ample(std::int64_t{1} << 30);
  HeldStates little(1);
  BlockPass held(*block, inputs, rope, cancellation, &ample);
  BlockPass again(*block, inputs, rope, cancellation, &little);
  for (std::size_t group = 0; group < 4; ++group) {
    for (std::size_t sequence = 0; sequence < inputs.size(); ++sequence) {
      EXPECT_TRUE(held.input(sequence, group).equal(again.input(sequence, group)));
    }
  }
  for (std::size_t sequence = 0; sequence < inputs.size(); ++sequence) {
    const at::Tensor output = held.output(sequence);
    EXPECT_TRUE(output.equal(again.output(sequence)));
    EXPECT_TRUE(output.equal(block->forward(inputs[sequence], rope)));
  }
}

}  // namespace
}  // namespace lowbit
