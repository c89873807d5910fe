#include "quantization/transforms/awq.h"

#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "lowbit/tensor/ops.h"
#include "quantization/small_run.h"
#include "quantization/solvers/rtn.h"
#include "quantization/step_bench.h"
#include "quantization/transforms/awq_candidates.h"
#include "quantization/transforms/awq_loss.h"
#include "quantization/transforms/group_scaling.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::StepBench;

RtnSolver rtn(int bits, std::int64_t group) {
  RtnOptions options;
  options.grid.bits = bits;
  options.grid.group = group;
  return RtnSolver(options);
}

StepBench bench_of(const std::string& model, const WeightSolver& solver) {
  return StepBench(testing::open_without_tokenizer(testing::golden_model(model)), 1, Awq({}).needs(), &solver);
}

at::Tensor wide(const at::Tensor& x) { return to_dtype(x, DType::kFloat64); }

TEST(AwqCandidates, AreTheFormulaNumberByNumber) {
  const std::vector<double> x = {0.5, 2.0, 0.0, 0.01};
  const std::vector<double> w = {0.3, 0.1, 0.4, 0.7};
  const auto candidates =
      awq_candidates(tensor_of(std::span<const double>(x)), tensor_of(std::span<const double>(w)), 4);
  ASSERT_EQ(candidates.size(), 5U);
  EXPECT_TRUE(candidates[0].eq(1).all().item<bool>()) << "plain rounding is always among them";
  for (int k = 0; k < 4; ++k) {
    const double r = k / 4.0;
    std::vector<double> s;
    for (std::size_t c = 0; c < 4; ++c) s.push_back(std::max(std::pow(x[c], r) / (std::pow(w[c], 1 - r) + 1e-4), 1e-4));
    const double largest = std::max({s[0], s[1], s[3]}), least = std::min({s[0], s[1], s[3]});
    for (std::size_t c = 0; c < 4; ++c) {
      const double expected = c == 2 ? 1.0 : s[c] / std::sqrt(largest * least);  // channel 2 is dead
      EXPECT_NEAR(candidates[static_cast<std::size_t>(k) + 1].select(0, static_cast<std::int64_t>(c)).item<double>(),
                  expected, 1e-6 * expected);
    }
  }
}

TEST(AwqCandidates, WithoutWeightsBeginAtOne) {
  const std::vector<double> x = {0.5, 2.0};
  const auto candidates = awq_candidates(tensor_of(std::span<const double>(x)), {}, 2);
  EXPECT_TRUE(candidates[1].equal(candidates[0]));
  EXPECT_NEAR(candidates[2].select(0, 1).item<double>(), std::sqrt(2.0), 1e-6);
}

TEST(AwqCandidates, WeighColumnsByTheLargestOfTheirGroup) {
  const std::vector<float> values = {1.0F, -2.0F, 8.0F, 0.5F, 0.25F, -4.0F};
  const at::Tensor found = normalised_magnitudes(tensor_of(std::span<const float>(values)).view({2, 3}), 2);
  const double expected[] = {1.0 / 2 + 0.5 / 0.5, 2.0 / 2 + 0.25 / 0.5, 8.0 / 8 + 4.0 / 4};
  for (std::int64_t c = 0; c < 3; ++c) EXPECT_NEAR(found.select(0, c).item<double>(), expected[c], 1e-5);
}

// The output of the module in float64, straight from its definition. `weights` by linear.
at::Tensor module_output(const Block& block, const FusedGroup& group, const at::Tensor& x,
                         const std::map<std::string, at::Tensor>& weights) {
  const auto product = [&](const std::string& name, const at::Tensor& in) {
    const LinearOp& op = *block.linear(name).op;
    const at::Tensor weight = weights.contains(name) ? weights.at(name) : op.dense_weight();
    const at::Tensor out = in.matmul(wide(weight).t());
    return op.bias().defined() ? out + wide(op.bias()) : out;
  };
  if (group.inspected == "mlp") {
    const at::Tensor gate = product("mlp.gate_proj", x);
    const double root = std::sqrt(2 / 3.14159265358979323846);
    const at::Tensor gelu = gate * 0.5 * ((gate + gate.pow(3) * 0.044715).mul(root).tanh() + 1);
    const bool silu = block.architecture().activation == Activation::kSilu;
    const at::Tensor inner = (silu ? gate * gate.sigmoid() : gelu) * product("mlp.up_proj", x);
    return product("mlp.down_proj", inner);
  }
  return product(group.inspected, x);
}

double brute_force_loss(const StepBench& bench, const Block& block, const FusedGroup& group, const at::Tensor& x,
                        const WeightSolver& solver, const at::Tensor& scale) {
  (void)bench;
  std::map<std::string, at::Tensor> rounded;
  for (const std::string& linear : group.linears) {
    const at::Tensor weight = block.linear(linear).op->dense_weight();
    rounded[linear] = solver.approximate(weight.mul(scale)).div(scale);
  }
  return (module_output(block, group, x, rounded) - module_output(block, group, x, {})).square().sum().item<double>();
}

TEST(Awq, TakesTheCandidateThatABruteForceSearchTakes) {
  for (const char* model : {"gqa-tied-sharded", "biased-float16", "mha-untied-bfloat16"}) {
    for (const int bits : {3, 4}) {
      for (const std::size_t place : {std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
        const RtnSolver solver = rtn(bits, 8);
        StepBench bench = bench_of(model, solver);
        const FusedGroup group = bench.block().fused_groups()[place];
        AwqOptions options;
        options.groups = {group.name};
        options.clip = false;
        options.give_up = 1e6;  // none that could win
        const at::Tensor x = wide(bench.group_input(place));
        const Block before = bench.block();
        // Candidates from the definition of the inputs' and columns' magnitudes.
        const at::Tensor weights = joined_weights(before, group);
        const at::Tensor shares = normalised_magnitudes(weights, 8).div(static_cast<double>(weights.size(0)));
        const auto candidates = awq_candidates(join_repeats(x.abs().mean(0), before, group, Join::kMean),
                                               join_repeats(shares, before, group, Join::kMean), 20);
        const auto effects = Awq(options).apply(bench);
        ASSERT_EQ(effects.size(), 1U);
        const at::Tensor scale = std::get<DiagonalMap>(effects[0]).scale;
        double least = 1e300;
        for (const at::Tensor& candidate : candidates) {
          least = std::min(least,
                           brute_force_loss(bench, before, group, x, solver, spread_repeats(candidate, before, group)));
        }
        const double found = brute_force_loss(bench, before, group, x, solver, scale);
        // Losses are sums in float32 of numbers of one size; another candidate may win by less than their rounding.
        EXPECT_LE(found, least * (1 + 1e-4)) << model << " " << group.name;
        EXPECT_LT(found,
                  brute_force_loss(bench, before, group, x, solver, make_full(shape_of(scale), 1.0, DType::kFloat32)))
            << model << " " << group.name << ": better than plain rounding";
      }
    }
  }
}

TEST(Awq, JudgesQueriesKeysAndValuesByTheOutputOfAttention) {
  const RtnSolver solver = rtn(3, 8);
  StepBench bench = bench_of("gqa-tied-sharded", solver);
  const Block before = bench.block();
  const FusedGroup group = before.fused_groups()[0];
  std::vector<at::Tensor> inputs;
  for (std::int64_t s = 0; s < bench.sequences(); ++s) inputs.push_back(before.begin(bench.input({}, s)).x);
  const ModuleLoss loss(before, group, inputs, bench.rope());
  std::vector<at::Tensor> weights;
  Block rounded = before;
  for (const std::string& linear : group.linears) {
    weights.push_back(solver.approximate(before.linear(linear).op->dense_weight()));
    rounded.linear(linear).op = make_float_linear(weights.back(), before.linear(linear).op->bias());
  }
  double expected = 0;
  for (const at::Tensor& x : inputs) {
    const at::Tensor change = wide(rounded.attention(x, bench.rope(), nullptr, nullptr)) -
                              wide(before.attention(x, bench.rope(), nullptr, nullptr));
    expected += change.square().sum().item<double>();
  }
  EXPECT_GT(expected, 0);
  EXPECT_NEAR(loss.of(weights), expected, 1e-5 * expected);
  ASSERT_EQ(loss.parts(), inputs.size());
  const ModuleLoss::Trial trial = loss.with(weights);
  double sum = 0;
  for (std::size_t part = 0; part < loss.parts(); ++part) sum += trial.of(part);
  EXPECT_EQ(loss.of(weights), sum);
  EXPECT_EQ(
      loss.of({before.linear(group.linears[0]).op->dense_weight(), before.linear(group.linears[1]).op->dense_weight(),
               before.linear(group.linears[2]).op->dense_weight()}),
      0);
}

TEST(Awq, HasTheSameLossThroughTheGramMatrix) {
  const RtnSolver solver = rtn(3, 8);
  StepBench bench = bench_of("mha-untied-bfloat16", solver);  // 16 channels
  const FusedGroup group = bench.block().fused_groups()[1];
  const at::Tensor weight = bench.block().linear("self_attn.o_proj").op->dense_weight();
  const at::Tensor rounded = solver.approximate(weight);
  for (const std::int64_t tokens : {std::int64_t{5}, std::int64_t{48}}) {  // below and above the width
    const at::Tensor x = bench.group_input(1).narrow(0, 0, tokens);
    const ModuleLoss loss(bench.block(), group, {x.unsqueeze(0)}, bench.rope());
    const double expected = wide(x).matmul((wide(rounded) - wide(weight)).t()).square().sum().item<double>();
    EXPECT_NEAR(loss.of({rounded}), expected, 1e-4 * expected) << tokens;
    const ModuleLoss halves(bench.block(), group,
                            {x.narrow(0, 0, 2).unsqueeze(0), x.narrow(0, 2, tokens - 2).unsqueeze(0)}, bench.rope());
    EXPECT_EQ(halves.parts(), tokens > weight.size(1) ? 1U : 2U);
    EXPECT_NEAR(halves.of({rounded}), expected, 1e-4 * expected) << tokens;
  }
}

TEST(Awq, LeavesTheFunctionOfEveryFamilyAsItWas) {
  for (const std::string& name : testing::golden_models()) {
    const RtnSolver solver = rtn(3, 8);
    StepBench bench = bench_of(name, solver);
    AwqOptions options;
    options.clip = false;
    const auto effects = Awq(options).apply(bench);
    EXPECT_EQ(effects.size(), 4U);
    EXPECT_LT(bench.output_change(), 1e-5) << name;  // as SmoothQuant's
    EXPECT_GT(bench.output_change(), 0) << name << ": nothing was scaled";
  }
}

TEST(AwqClip, TakesTheRangeThatABruteForceSearchTakes) {
  const RtnSolver solver = rtn(3, 6);  // 20 columns: the last group has two
  StepBench bench = bench_of("gqa-tied-sharded", solver);
  const at::Tensor weight = bench.block().linear("mlp.down_proj").op->dense_weight();
  const at::Tensor x = bench.group_input(3);
  const ClipOptions options;
  const at::Tensor clipped = clip_to_least_error(weight, x, solver, options, [] {});
  bool any_clipped = false;
  for (const auto& [begin, count] : column_ranges(20, 6)) {
    const at::Tensor inputs = wide(x.narrow(1, begin, count));
    for (std::int64_t row = 0; row < weight.size(0); ++row) {
      const at::Tensor part = weight.narrow(1, begin, count).select(0, row).unsqueeze(0);
      const double largest = part.abs().max().item<double>();
      const auto error = [&](const at::Tensor& limited) {
        const at::Tensor change = wide(solver.approximate(limited.contiguous())) - wide(part);
        return inputs.matmul(change.t()).square().sum().item<double>();
      };
      double least = 1e300;
      for (int i = 0; i < 10; ++i)
        least = std::min(least, error(part.clamp(-largest * (1 - i / 20.0), largest * (1 - i / 20.0))));
      const at::Tensor found = clipped.narrow(1, begin, count).select(0, row).unsqueeze(0);
      EXPECT_LE(error(found), least * 1.001 + 1e-9) << row << " " << begin;
      any_clipped = any_clipped || !found.equal(part);
    }
  }
  EXPECT_TRUE(any_clipped);
}

TEST(Awq, ClipsWhatDoesNotMeetInTheScoresOfAttention) {
  const RtnSolver solver = rtn(3, 8);
  StepBench bench = bench_of("gqa-tied-sharded", solver);
  StepBench unclipped = bench_of("gqa-tied-sharded", solver);
  AwqOptions options;
  options.tokens = 16;
  const auto effects = Awq(options).apply(bench);
  EXPECT_TRUE(std::holds_alternative<Invalidated>(effects.back())) << "later inputs have changed";
  options.clip = false;
  (void)Awq(options).apply(unclipped);
  for (const LinearSlot& slot : bench.block().linears()) {
    const bool same = slot.op->dense_weight().equal(unclipped.block().linear(slot.name).op->dense_weight());
    EXPECT_EQ(same, slot.name == "self_attn.q_proj" || slot.name == "self_attn.k_proj") << slot.name;
  }
}

TEST(Awq, LeavesGroupsWithoutASolverAlone) {
  const RtnSolver solver = rtn(3, 8);
  StepBench bench = bench_of("rope-llama3", solver);
  bench.keeps_float = [](std::string_view linear) { return linear.starts_with("mlp."); };
  (void)Awq({}).apply(bench);
  EXPECT_TRUE(bench.block()
                  .linear("mlp.gate_proj")
                  .op->dense_weight()
                  .equal(bench.original().linear("mlp.gate_proj").op->dense_weight()));
  EXPECT_FALSE(bench.block()
                   .linear("self_attn.o_proj")
                   .op->dense_weight()
                   .equal(bench.original().linear("self_attn.o_proj").op->dense_weight()));
}

TEST(Awq, ChainsWithBothSolvers) {
  testing::SmallRun run;
  for (const char* solver : {"{rtn: {bits: 3, group: 16}}", "{gptq: {bits: 3, group: 16}}"}) {
    const std::string name = solver;
    const QuantizeReport plain = run.quantize("[" + name + "]", "plain " + name.substr(1, 3));
    const QuantizeReport scaled = run.quantize("[{awq: {}}, " + name + "]", "awq " + name.substr(1, 3));
    EXPECT_EQ(plain.layers.size(), scaled.layers.size());
    EXPECT_NE(run.hashes("plain " + name.substr(1, 3)), run.hashes("awq " + name.substr(1, 3)));
  }
}

TEST(Awq, GivesTheSameBitsForAnyNumberOfThreads) {
  std::vector<at::Tensor> weights;
  for (const int threads : {1, 2}) {
    const testing::ThreadCount scope(threads);
    const RtnSolver solver = rtn(3, 8);
    StepBench bench = bench_of("gqa-tied-sharded", solver);
    (void)Awq({}).apply(bench);
    weights.push_back(joined_weights(bench.block(), bench.block().fused_groups()[2]));
  }
  EXPECT_TRUE(weights[0].equal(weights[1]));
}

TEST(Awq, NamesALayerWhoseWeightIsDamaged) {
  const RtnSolver solver = rtn(3, 8);
  StepBench bench = bench_of("gqa-tied-sharded", solver);
  (void)bench.statistics("attention_input");  // activations that are not finite are refused before
  LinearSlot& slot = bench.block().linear("self_attn.k_proj");
  at::Tensor weight = slot.op->dense_weight().clone();
  weight.select(0, 1).select(0, 2).fill_(std::nan(""));
  replace_weight(bench.block(), slot, weight);
  EXPECT_THAT(testing::error_text(ErrorCode::kData, [&] { (void)Awq({}).apply(bench); }),
              ::testing::StartsWith("model.layers.1.self_attn.k_proj: "));
}

TEST(Awq, NeedsASolver) {
  EXPECT_EQ(
      testing::error_text(ErrorCode::kConfig, [] { (void)testing::recipe_of("[{awq: {}}]", builtin_quantization()); }),
      "x.yaml:1:3: 'awq' prepares weights for the grid of a solver, and the recipe has no solver; add one, such as "
      "{rtn: {bits: 8}}");
}

}  // namespace
}  // namespace lowbit
