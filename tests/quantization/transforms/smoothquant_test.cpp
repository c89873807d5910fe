#include "quantization/transforms/smoothquant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "quantization/small_run.h"
#include "quantization/step_bench.h"
#include "quantization/transforms/group_names.h"
#include "quantization/transforms/group_scaling.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::SmallRun;
using testing::StepBench;

StepBench bench_of(const std::string& model, const SmoothQuant& step, std::int64_t index = 0) {
  return StepBench(testing::open_without_tokenizer(testing::golden_model(model)), index, step.needs(), nullptr);
}

SmoothQuantOptions all_groups(double alpha, bool run_time = false) {
  SmoothQuantOptions options;
  options.alpha = alpha;
  options.groups = group_names();
  options.run_time = run_time;
  return options;
}

TEST(SmoothQuant, LeavesTheFunctionOfEveryFamilyAsItWas) {
  for (const std::string& name : testing::golden_models()) {
    for (const double alpha : {0.0, 0.5, 1.0}) {
      for (const bool run_time : {false, true}) {
        SmoothQuant step(all_groups(alpha, run_time));
        StepBench bench = bench_of(name, step, 1);
        const auto effects = step.apply(bench);
        EXPECT_EQ(effects.size(), 4U);
        // A few roundings of float32 on each way through the block, some of numbers that cancel.
        EXPECT_LT(bench.output_change(), 1e-5) << name << " alpha " << alpha << (run_time ? " run time" : "");
        EXPECT_GT(bench.output_change(), 0) << "nothing was scaled";
      }
    }
  }
}

TEST(SmoothQuant, WithAlphaOneMakesAllChannelsReachOne) {
  SmoothQuant step(all_groups(1.0, true));
  StepBench bench = bench_of("biased-float16", step);
  (void)step.apply(bench);
  for (std::size_t group = 0; group < 4; ++group) {
    const at::Tensor largest = bench.group_input(group).abs().amax({0});
    EXPECT_LT(largest.sub(1).abs().max().item<double>(), 1e-4) << group;
  }
}

TEST(SmoothQuant, WithAlphaZeroMakesAllColumnsReachOne) {
  SmoothQuant step(all_groups(0.0, true));
  StepBench bench = bench_of("gqa-tied-sharded", step);
  (void)step.apply(bench);
  for (const FusedGroup& group : bench.block().fused_groups()) {
    const at::Tensor largest = joined_weights(bench.block(), group).abs().amax({0});
    EXPECT_LT(largest.sub(1).abs().max().item<double>(), 1e-6) << group.name;
  }
}

TEST(SmoothQuant, HasTheScalesOfThePaper) {
  SmoothQuantOptions options;
  options.alpha = 0.3;
  SmoothQuant step(options);
  StepBench bench = bench_of("mha-untied-bfloat16", step);
  const at::Tensor x = bench.group_input(2);
  const at::Tensor w = joined_weights(bench.block(), group_named(bench.block(), "mlp_input"));
  const auto effects = step.apply(bench);
  const auto& map = std::get<DiagonalMap>(effects[1]);
  EXPECT_EQ(map.group, "mlp_input");
  for (std::int64_t c = 0; c < x.size(1); ++c) {
    const double inputs = x.select(1, c).abs().max().item<double>();
    const double weights = w.select(1, c).abs().max().item<double>();
    const double expected = std::pow(inputs, 0.3) / std::pow(weights, 0.7);
    EXPECT_NEAR(map.scale.select(0, c).item<double>(), expected, 1e-5 * expected) << c;
  }
}

TEST(SmoothQuant, GivesQueryHeadsOfOneKvHeadOneScale) {
  SmoothQuant step(all_groups(0.5));
  StepBench bench = bench_of("gqa-tied-sharded", step);
  const auto effects = step.apply(bench);
  const auto& map = std::get<DiagonalMap>(effects[1]);
  const Architecture& a = bench.block().architecture();
  ASSERT_GT(a.heads, a.kv_heads);
  const at::Tensor heads = map.scale.view({a.kv_heads, a.heads / a.kv_heads, a.head_dim});
  EXPECT_TRUE(heads.amax({1}).equal(heads.amin({1})));
}

TEST(SmoothQuant, LeavesDeadChannelsAloneAndReportsThem) {
  SmoothQuant step(all_groups(0.5));
  StepBench bench = bench_of("mha-untied-bfloat16", step);
  at::Tensor norm = bench.block().norm("input_layernorm").clone();
  norm.narrow(0, 3, 2).zero_();
  bench.block().norm("input_layernorm") = norm;
  const auto effects = step.apply(bench);
  const at::Tensor scale = std::get<DiagonalMap>(effects[0]).scale;
  EXPECT_EQ(scale.narrow(0, 3, 2).sub(1).abs().max().item<double>(), 0);
  ASSERT_EQ(bench.events.size(), 1U);
  EXPECT_EQ(bench.events[0].layer, "model.layers.0.attention_input");
  EXPECT_EQ(bench.events[0].what, "channels without activity are not smoothed");
  EXPECT_EQ(bench.events[0].value, 2);
}

TEST(SmoothQuant, DividesAtRunTimeInTheArtifactToo) {
  SmallRun run;
  const char* recipe =
      "[{smoothquant: {run_time: true, groups: [down_input]}}, {rtn: {bits: 8, group: -1}}, {activations: {}}]";
  (void)run.quantize(recipe, "out");
  const auto records = run.artifact("out")->executions("model.layers.0.mlp.down_proj");
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].name, "input_scaling");
  EXPECT_EQ(records[1].name, "activations");
  const auto model =
      Model::make(run.artifact("out"), nullptr, {}, Model::Residency::kResident, runtime_readers(run.registries));
  const at::Tensor ids = make_arange(20, DType::kInt64).unsqueeze(0);
  const at::Tensor exact = testing::logits_of(run.model(), ids);
  const at::Tensor found = testing::logits_of(*model, ids);
  EXPECT_LT(found.sub(exact).norm().item<double>(), 0.05 * exact.norm().item<double>());
}

TEST(SmoothQuant, RefusesAScaleThatCannotPassAMap) {
  SmoothQuant at_run_time(all_groups(0.5, true));
  StepBench bench = bench_of("rope-linear", at_run_time);
  (void)at_run_time.apply(bench);
  SmoothQuant folded(all_groups(0.5));
  EXPECT_EQ(
      testing::error_text(ErrorCode::kUnsupported, [&] { (void)folded.apply(bench); }),
      "model.layers.0.self_attn.q_proj: 'input scaling' maps its input, and a scale folded into 'input_layernorm' "
      "does not pass it; leave the group 'attention_input' out");
}

TEST(SmoothQuant, NamesTheLayersWhoseWeightIsDamaged) {
  SmoothQuant step(all_groups(0.5));
  StepBench bench = bench_of("rope-linear", step);
  (void)bench.statistics("mlp_input");  // of the undamaged block: activations that are not finite are refused before
  LinearSlot& slot = bench.block().linear("mlp.up_proj");
  replace_weight(bench.block(), slot, slot.op->dense_weight().clone().fill_(std::nan("")));
  EXPECT_EQ(
      testing::error_text(ErrorCode::kData, [&] { (void)step.apply(bench); }),
      "model.layers.0: the scale of 'mlp_input' is not finite, since a weight of mlp.gate_proj, mlp.up_proj holds "
      "NaN or Inf");
}

TEST(SmoothQuant, ChecksItsGroups) {
  const QuantizationRegistries registries = builtin_quantization();
  const auto problem = [&](const std::string& groups) {
    return testing::error_text(ErrorCode::kConfig, [&] {
      (void)testing::recipe_of("[{smoothquant: {groups: " + groups + "}}, {rtn: {}}]", registries);
    });
  };
  EXPECT_THAT(problem("[mlp_inputs]"), ::testing::HasSubstr("'groups' has no 'mlp_inputs'; did you mean 'mlp_input'?"));
  EXPECT_THAT(problem("[mlp_input, mlp_input]"), ::testing::HasSubstr("'groups' names 'mlp_input' twice"));
  EXPECT_THAT(problem("[]"), ::testing::HasSubstr("'groups' is empty"));
}

}  // namespace
}  // namespace lowbit
