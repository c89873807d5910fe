// Stand-ins for methods that act while a model runs: around a product, or in attention.
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "lowbit/tensor/ops.h"
#include "quantization/small_run.h"

namespace lowbit {
namespace {

using testing::SmallRun;

struct NoOptions {
  void visit(FieldVisitor&) {}
};

at::Tensor round_to(const at::Tensor& x, double scale) { return (x / scale).round().clamp(-127, 127) * scale; }

// Tender: channels in two classes whose scales differ by a power of two, a product for each, from static ranges.
class FakeTender : public LinearExecution {
 public:
  FakeTender(const LinearOp& op, const at::Tensor& absmax) {
    const double top = absmax.max().item<double>();
    scale_ = top / 127;
    large_ = absmax.gt(top / 2).nonzero().flatten();
    small_ = absmax.le(top / 2).nonzero().flatten();
    const at::Tensor weight = op.dense_weight();
    large_weight_ = make_float_linear(weight.index_select(1, large_).contiguous(), {});
    small_weight_ = make_float_linear(weight.index_select(1, small_).contiguous(), {});
  }
  at::Tensor run(const at::Tensor& x, const LinearOp&, bool deterministic) const override {
    const at::Tensor large = round_to(x.index_select(-1, large_), scale_);
    const at::Tensor small = round_to(x.index_select(-1, small_), scale_ / 2);
    return large_weight_->forward(large, deterministic) + small_weight_->forward(small, deterministic);
  }
  RuntimeRecord record() const override {
    return {"fake_tender", {}, {{"large_channels", large_}, {"small_channels", small_}}};
  }
  std::string text() const override { return "two classes of channels"; }

 private:
  double scale_ = 1;
  at::Tensor large_, small_;
  std::shared_ptr<LinearOp> large_weight_, small_weight_;
};

class FakeTenderStep : public ExecutionStep {
 public:
  explicit FakeTenderStep(int& made) : made_(made) {}
  StatisticsNeeds needs() const override {
    StatisticsNeeds needs;
    needs.channel_range = true;
    return needs;
  }
  std::shared_ptr<const LinearExecution> make(const LinearSlot& slot, const Statistics* statistics) const override {
    ++made_;
    return std::make_shared<FakeTender>(*slot.op, statistics->channel_absmax());
  }
  int version() const override { return 1; }

 private:
  int& made_;
};

TEST(Interfaces, CarryTenderWhichSplitsAProductByStaticRanges) {
  SmallRun run;
  int made = 0;
  run.registries.execution_steps.add<NoOptions>(
      "fake_tender", "", "", [&](const NoOptions&) { return std::make_unique<FakeTenderStep>(made); });
  const char* yaml = "[{gptq: {bits: 4, group: 16}}, {fake_tender: {}, layers: ['*.down_proj']}]";
  (void)run.quantize(yaml, "with");
  EXPECT_EQ(made, 2);
  (void)run.quantize("[{gptq: {bits: 4, group: 16}}]", "without");
  EXPECT_EQ(run.hashes("with")[6], run.hashes("without")[6]);
  EXPECT_NE(run.hashes("with")[7], run.hashes("without")[7]);  // block 1 sees rounded activations' outputs
}

// QuaRot's online part: an orthonormal map of the input, undone by the stored weight.
class FakeOnlineRotation : public LinearExecution {
 public:
  explicit FakeOnlineRotation(at::Tensor rotation) : rotation_(std::move(rotation)) {}
  at::Tensor map_input(const at::Tensor& x) const override { return x.matmul(rotation_); }
  RuntimeRecord record() const override { return {"fake_rotation", {}, {{"rotation", rotation_}}}; }
  std::string text() const override { return "rotation"; }

 private:
  at::Tensor rotation_;
};

TEST(Interfaces, CarryOnlineRotations) {
  const SmallRun run;
  const std::int64_t width = 44;
  const at::Tensor v = make_full({width, 1}, 1.0, DType::kFloat32);
  const at::Tensor q = make_eye(width, DType::kFloat32) - v.matmul(v.t()) * (2.0 / static_cast<double>(width));
  Block rotated = *run.model().block(0);
  LinearSlot& slot = rotated.linear("mlp.down_proj");
  slot.op = make_float_linear(slot.op->dense_weight().matmul(q), {});
  slot.executions.push_back(std::make_shared<FakeOnlineRotation>(q));
  const at::Tensor x = run.model().embed(make_arange(20, DType::kInt64).unsqueeze(0));
  const RopeTable rope = make_rope_table(run.model().architecture(), 20);
  const at::Tensor expected = run.model().block(0)->forward(x, rope);
  EXPECT_LT((rotated.forward(x, rope) - expected).abs().max().item<double>(),
            1e-4 * expected.abs().max().item<double>());
}

// KIVI: keys and values that leave a window of recent tokens are rounded, in decode order.
class FakeKivi : public KvCachePolicy {
 public:
  FakeKivi(std::int64_t residual, double step) : residual_(residual), step_(step) {}
  at::Tensor append_and_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                               bool deterministic) override {
    keys_ = keys_.defined() ? concatenate({keys_, k}, 2) : k;
    values_ = values_.defined() ? concatenate({values_, v}, 2) : v;
    const at::Tensor out = causal_attention(q, keys_.contiguous(), values_.contiguous(), scale, 0, deterministic);
    const std::int64_t old = length() - residual_;
    if (old > 0) {
      keys_ = concatenate({round_to(keys_.narrow(2, 0, old), step_), keys_.narrow(2, old, residual_)}, 2);
      values_ = concatenate({round_to(values_.narrow(2, 0, old), step_), values_.narrow(2, old, residual_)}, 2);
    }
    return out;
  }
  std::int64_t length() const override { return keys_.defined() ? keys_.size(2) : 0; }
  std::int64_t bytes() const override {
    return keys_.defined() ? static_cast<std::int64_t>(keys_.nbytes() + values_.nbytes()) : 0;
  }

 private:
  std::int64_t residual_;
  double step_;
  at::Tensor keys_, values_;
};

class FakeKiviStep : public KvCacheStep {
 public:
  std::unique_ptr<KvCachePolicy> make(const Architecture&, std::int64_t) const override {
    return std::make_unique<FakeKivi>(4, 0.25);
  }
  int version() const override { return 1; }
};

at::Tensor decode(const Block& block, const at::Tensor& x, const RopeTable& rope, KvCachePolicy& cache) {
  std::vector<at::Tensor> rows;
  for (std::int64_t token = 0; token < x.size(1); ++token) {
    rows.push_back(block.forward(x.narrow(1, token, 1), rope, &cache));
  }
  return concatenate(rows, 1);
}

TEST(Interfaces, CarryKiviWhichRoundsWhatLeavesTheWindow) {
  SmallRun run;
  run.registries.kv_cache_steps.add<NoOptions>("fake_kivi", "", "",
                                               [](const NoOptions&) { return std::make_unique<FakeKiviStep>(); });
  const auto recipe = testing::recipe_of("[{rtn: {group: 16}}, {fake_kivi: {}}]", run.registries);
  const at::Tensor x = run.model().embed(make_arange(12, DType::kInt64).unsqueeze(0));
  const RopeTable rope = make_rope_table(run.model().architecture(), 12);
  const auto block = run.model().block(0);
  const auto exact = make_float_kv_cache(0);
  const auto rounded = recipe->kv_cache()->make(run.model().architecture(), 0);
  const at::Tensor expected = decode(*block, x, rope, *exact);
  const at::Tensor found = decode(*block, x, rope, *rounded);
  EXPECT_EQ(rounded->length(), 12);
  // The fifth token is the last whose predecessors all were in the window when it came.
  EXPECT_TRUE(found.narrow(1, 0, 5).allclose(expected.narrow(1, 0, 5), 1e-5, 1e-5));
  EXPECT_FALSE(found.narrow(1, 6, 6).allclose(expected.narrow(1, 6, 6), 1e-5, 1e-5));
}

// A mixture of experts: a step that leaves experts alone which few tokens reached.
class FakeExpertStep : public BlockStep {
 public:
  explicit FakeExpertStep(std::int64_t& least) : least_(least) {}
  std::vector<StatisticsEffect> apply(BlockContext& context) override {
    for (const LinearSlot& slot : context.block().linears()) least_ = std::min(least_, context.tokens_of(slot.name));
    return {};
  }
  bool needs_inputs() const override { return true; }
  int version() const override { return 1; }

 private:
  std::int64_t& least_;
};

TEST(Interfaces, TellAStepHowManyTokensReachedALinear) {
  SmallRun run;
  std::int64_t least = 1 << 30;
  run.registries.block_steps.add<NoOptions>("fake_experts", "", "",
                                            [&](const NoOptions&) { return std::make_unique<FakeExpertStep>(least); });
  (void)run.quantize("[{fake_experts: {}}, {rtn: {group: 16}}]", "out");
  EXPECT_EQ(least, 6 * 24);
}

}  // namespace
}  // namespace lowbit
