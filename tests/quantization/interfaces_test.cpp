// Small stand-ins for the methods that the interfaces were made for, each carried by the driver: what they need is
// there.
#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "lowbit/base/error.h"
#include "lowbit/tensor/ops.h"
#include "quantization/driver/transformed_weights.h"
#include "quantization/small_run.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::SmallRun;

struct NoOptions {
  void visit(FieldVisitor&) {}
};

GridSpec grid_of(int bits, std::int64_t group) {
  GridSpec grid;
  grid.bits = bits;
  grid.group = group;
  return grid;
}

// AWQ: scales of a group's input by the module's output error under the coming solver's grid.
class FakeAwq : public BlockStep {
 public:
  struct Seen {
    double plain = -1;  // loss without scaling
    double best = -1;
    double change = -1;  // of the unquantized output by the chosen scaling
    std::int64_t tokens = 0;
  };
  explicit FakeAwq(Seen& seen) : seen_(seen) {}
  StatisticsNeeds needs() const override {
    StatisticsNeeds needs;
    needs.channel_range = true;
    needs.sample_tokens = 32;
    needs.stream = Stream::kFloat;
    return needs;
  }
  int version() const override { return 1; }

  std::vector<StatisticsEffect> apply(BlockContext& context) override {
    const std::string group = "mlp_input";
    const at::Tensor mean = to_dtype(context.statistics(group).channel_absmean(), DType::kFloat32);
    const at::Tensor x = context.statistics(group).sample().unsqueeze(0);
    const at::Tensor target = context.original().mlp(x, nullptr);
    at::Tensor best_scale;
    double best = std::numeric_limits<double>::infinity();
    for (const double ratio : {0.0, 0.25, 0.5}) {
      const at::Tensor scale = mean.pow(ratio).clamp_min(1e-4);
      const double loss = (rounded(context, scale).mlp(x / scale, nullptr) - target).square().mean().item<double>();
      if (ratio == 0.0) seen_.plain = loss;
      if (loss < best) best_scale = scale, best = loss;
    }
    seen_.best = best;
    seen_.tokens = context.tokens_of("mlp.up_proj");
    Block& block = context.block();
    block.norm("post_attention_layernorm") = block.norm("post_attention_layernorm") / best_scale;
    for (const char* name : {"mlp.gate_proj", "mlp.up_proj"}) {
      block.linear(name).op = make_float_linear(block.linear(name).op->dense_weight() * best_scale, {});
    }
    seen_.change =
        (block.mlp(x / best_scale, nullptr) - target).abs().max().item<double>() / target.abs().max().item<double>();
    return {DiagonalMap{group, best_scale}};
  }

 private:
  static Block rounded(BlockContext& context, const at::Tensor& scale) {
    Block trial = context.block();
    for (const char* name : {"mlp.gate_proj", "mlp.up_proj"}) {
      const at::Tensor scaled = trial.linear(name).op->dense_weight() * scale;
      trial.linear(name).op = make_float_linear(context.solver(name)->approximate(scaled), {});
    }
    return trial;
  }
  Seen& seen_;
};

TEST(Interfaces, CarryAwqWhoseLossIsAModulesOutputUnderTheLaterGrid) {
  SmallRun run;
  FakeAwq::Seen seen;
  run.registries.block_steps.add<NoOptions>("fake_awq", "", "",
                                            [&](const NoOptions&) { return std::make_unique<FakeAwq>(seen); });
  (void)run.quantize("[{fake_awq: {}}, {rtn: {bits: 3, group: 16}}]", "out");
  EXPECT_LE(seen.best, seen.plain);
  EXPECT_LT(seen.change, 1e-5);  // some roundings of float32 products
  EXPECT_EQ(seen.tokens, run.calibration().tokens());
  const at::Tensor norm = run.artifact("out")->load("model.layers.0.post_attention_layernorm.weight", {32});
  EXPECT_FALSE(norm.equal(run.model().weights().load("model.layers.0.post_attention_layernorm.weight", {32})));
}

// GPTAQ: the cross statistic of both streams.
class FakeGptaq : public WeightSolver {
 public:
  explicit FakeGptaq(std::map<std::string, double>& cross) : cross_(cross) {}
  StatisticsNeeds needs() const override {
    StatisticsNeeds needs;
    needs.hessian = true;
    needs.cross = true;
    return needs;
  }
  GridSpec grid() const override { return grid_of(3, 16); }
  QuantizedWeight solve(const LinearProblem& problem) const override {
    cross_[problem.layer] = problem.statistics->cross().abs().max().item<double>();
    return quantize_to_nearest(problem.weight, grid());
  }
  int version() const override { return 1; }

 private:
  std::map<std::string, double>& cross_;
};

TEST(Interfaces, CarryGptaqWhichComparesBothStreams) {
  SmallRun run;
  std::map<std::string, double> cross;
  run.registries.solvers.add<NoOptions>("fake_gptaq", "", "",
                                        [&](const NoOptions&) { return std::make_unique<FakeGptaq>(cross); });
  (void)run.quantize("[{fake_gptaq: {}}]", "out");
  EXPECT_EQ(cross.at("model.layers.0.self_attn.q_proj"), 0);  // nothing is quantized before it
  EXPECT_GT(cross.at("model.layers.0.self_attn.o_proj"), 0);
  EXPECT_GT(cross.at("model.layers.1.self_attn.q_proj"), 0);
}

// AutoRound and OmniQuant: gradients through a block, rounding straight through, own codes.
class FakeAutoRound : public BlockStep {
 public:
  struct Seen {
    double before = 0;
    double after = 0;
  };
  explicit FakeAutoRound(Seen& seen) : seen_(seen) {}
  bool needs_inputs() const override { return true; }
  int version() const override { return 1; }

  std::vector<StatisticsEffect> apply(BlockContext& context) override {
    const at::Tensor weight = context.block().linear("mlp.down_proj").op->dense_weight();
    const QuantizedWeight nearest = quantize_to_nearest(weight, grid_);
    at::Tensor best = make_zeros(shape_of(weight), DType::kFloat32);
    seen_.before = loss(context, nearest, weight, best).item<double>();
    seen_.after = seen_.before;
    at::Tensor offset = best.clone();
    for (int step = 0; step < 10; ++step) {
      at::Tensor leaf = offset.clone().set_requires_grad(true);
      loss(context, nearest, weight, leaf).backward();
      offset = (offset - leaf.grad().sign() * 0.02).clamp(-0.5, 0.5);
      const double now = loss(context, nearest, weight, offset).item<double>();
      if (now < seen_.after) seen_.after = now, best = offset.clone();
    }
    solution_ = nearest;
    solution_->codes = to_dtype(codes(nearest, weight, best), DType::kUInt8);
    return {Invalidated{"down_input"}};
  }
  std::optional<QuantizedWeight> take_solution(std::string_view linear) override {
    return linear == "mlp.down_proj" ? solution_ : std::nullopt;
  }

 private:
  at::Tensor codes(const QuantizedWeight& nearest, const at::Tensor& weight, const at::Tensor& offset) const {
    const at::Tensor real = weight / nearest.scales + offset;
    return (straight_through(real.round(), real) + nearest.zeros).clamp(0, 15);
  }
  at::Tensor loss(BlockContext& context, const QuantizedWeight& nearest, const at::Tensor& weight,
                  const at::Tensor& offset) {
    Block& block = context.block();
    Block::Weights weights{block.norm("input_layernorm"), block.norm("post_attention_layernorm"), block.linears()};
    Block student(block.architecture(), block.index(), weights, {.deterministic = false, .differentiable = true});
    student.linear("mlp.down_proj").op =
        make_float_linear(nearest.scales * (codes(nearest, weight, offset) - nearest.zeros), {});
    at::Tensor sum = make_zeros({}, DType::kFloat32);
    for (std::int64_t i = 0; i < context.sequences(); ++i) {
      const at::Tensor out = student.forward(context.input(Stream::kQuantized, i), context.rope());
      sum = sum + (out - context.float_output(i)).square().mean();
    }
    return sum;
  }
  GridSpec grid_ = grid_of(4, -1);
  std::optional<QuantizedWeight> solution_;
  Seen& seen_;
};

TEST(Interfaces, CarryAutoRoundWhichLearnsRoundingByGradient) {
  SmallRun run;
  FakeAutoRound::Seen seen;
  run.registries.block_steps.add<NoOptions>("fake_autoround", "", "",
                                            [&](const NoOptions&) { return std::make_unique<FakeAutoRound>(seen); });
  (void)run.quantize("[{fake_autoround: {}}, {rtn: {bits: 4, group: 16}}]", "out");
  EXPECT_LT(seen.after, seen.before);
  EXPECT_EQ(run.layer("out", "model.layers.0.mlp.down_proj").grid.group, -1);  // its own solution
  EXPECT_EQ(run.layer("out", "model.layers.0.mlp.up_proj").grid.group, 16);    // the solver's
}

// SpQR: outliers beside the grid, real zeros, scales that are quantized again.
class FakeSpqr : public WeightSolver {
 public:
  GridSpec grid() const override {
    GridSpec grid = grid_of(3, 16);
    grid.kind = GridKind::kOffset;
    grid.scale_type = ScaleType::kFloat32;
    return grid;
  }
  QuantizedWeight solve(const LinearProblem& problem) const override {
    QuantizedWeight result = quantize_to_nearest(problem.weight, grid());
    result.nested_scales = nested(result.scales);
    result.scales = result.nested_scales->dequantize();
    const std::int32_t row[] = {1};
    const std::int32_t column[] = {5};
    const float value[] = {7.5F};
    result.outliers = SparseOutliers{tensor_of(row), tensor_of(column), tensor_of(value)};
    return result;
  }
  int version() const override { return 1; }

 private:
  // 3 bits over each run of 16 rows.
  static NestedScales nested(const at::Tensor& values) {
    NestedScales result;
    const std::int64_t runs = (values.size(0) + 15) / 16;
    result.scales = make_full({runs, values.size(1)}, values.max().item<double>() / 7, DType::kFloat32);
    result.zeros = make_zeros({runs, values.size(1)}, DType::kFloat32);
    result.codes = to_dtype((values / result.scales.select(0, 0)).round().clamp(1, 7), DType::kUInt8);
    return result;
  }
};

TEST(Interfaces, CarrySpqrThroughTheArtifact) {
  SmallRun run;
  run.registries.solvers.add<NoOptions>("fake_spqr", "", "",
                                        [](const NoOptions&) { return std::make_unique<FakeSpqr>(); });
  (void)run.quantize("[{fake_spqr: {}}]", "out");
  LinearProblem problem;
  problem.weight = run.model().block(0)->linear("mlp.up_proj").op->dense_weight();
  const QuantizedWeight expected = FakeSpqr().solve(problem);
  const QuantizedWeight stored = run.layer("out", "model.layers.0.mlp.up_proj");
  EXPECT_EQ(stored.content_hash(), expected.content_hash());
  EXPECT_EQ(stored.dequantize().select(0, 1).select(0, 5).item<float>(), 7.5F);
}

// QuaRot: the residual stream turned as a whole, norms folded, the head untied.
class FakeQuarot : public ModelTransform {
 public:
  explicit FakeQuarot(std::int64_t size) {  // Householder's reflection: orthonormal and full
    const at::Tensor v = make_full({size, 1}, 1.0, DType::kFloat64);
    q_ = make_eye(size, DType::kFloat64) - v.matmul(v.t()) * (2.0 / static_cast<double>(size));
  }
  int version() const override { return 1; }
  Architecture rewrite(const Architecture& architecture) const override {
    Architecture result = architecture;
    result.tied_head = false;
    return result;
  }
  at::Tensor rewrite(const std::string& name, const at::Tensor& tensor, const Architecture&,
                     const std::function<at::Tensor(const std::string&)>& load) const override {
    if (name.ends_with("norm.weight")) return tensor.mul(0).add(1);
    const at::Tensor wide = to_dtype(tensor, DType::kFloat64);
    const auto reads = [&](const std::string& norm) {
      return wide.mul(to_dtype(load(norm), DType::kFloat64)).matmul(q_);
    };
    const std::string block = name.substr(0, name.find('.', 13) + 1);  // "model.layers.0."
    at::Tensor result;
    if (name == "model.embed_tokens.weight") {
      result = wide.matmul(q_);
    } else if (name == "lm_head.weight") {
      result = reads("model.norm.weight");
    } else if (name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight")) {
      result = q_.t().matmul(wide);
    } else {
      result = reads(block + (name.find(".mlp.") != std::string::npos ? "post_attention_layernorm.weight"
                                                                      : "input_layernorm.weight"));
    }
    return to_dtype(result, DType::kFloat32);
  }

 private:
  at::Tensor q_;
};

TEST(Interfaces, CarryQuarotWhichRotatesTheWholeModelTensorByTensor) {
  SmallRun run;
  run.registries.model_transforms.add<NoOptions>("fake_quarot", "", "",
                                                 [](const NoOptions&) { return std::make_unique<FakeQuarot>(32); });
  const auto recipe = testing::recipe_of("[{fake_quarot: {}}, {rtn: {group: 16}}]", run.registries);
  const std::shared_ptr<const WeightSource> base(std::shared_ptr<const void>(), &run.model().weights());
  const auto model = Model::make(std::make_shared<TransformedWeights>(base, *recipe), nullptr, {});
  const at::Tensor ids = make_arange(20, DType::kInt64).unsqueeze(0);
  const at::Tensor expected = run.model().logits(run.model().run(run.model().embed(ids)));
  const at::Tensor rotated = model->logits(model->run(model->embed(ids)));
  // Rotated weights are rounded to float32 once more; the logits' size is some tens.
  EXPECT_LT((rotated - expected).abs().max().item<double>(), 1e-4 * expected.abs().max().item<double>());
  (void)run.quantize("[{fake_quarot: {}}, {rtn: {bits: 8, group: 16}}]", "out");
  const auto artifact = Model::make(run.artifact("out"), nullptr, {});
  EXPECT_FALSE(artifact->architecture().tied_head);
  const at::Tensor stored = artifact->logits(artifact->run(artifact->embed(ids)));
  // Eight bits on 16 columns leave weights within 1 / 255 of their group's range.
  EXPECT_LT((stored - expected).norm().item<double>(), 0.05 * expected.norm().item<double>());
}

}  // namespace
}  // namespace lowbit
