#include "lowbit/model/model.h"

#include <gtest/gtest.h>

#include "lowbit/base/error.h"
#include "lowbit/tensor/ops.h"
#include "model_cases.h"

namespace lowbit {
namespace {

using namespace testing;  // NOLINT: the cases' helpers

class GoldenModel : public ::testing::TestWithParam<std::string> {
 protected:
  at::Tensor ids() const {
    const Json reference = read_json(golden_model(GetParam()) / "reference.json");
    return ids_tensor(reference["ids"].get<std::vector<std::vector<std::int64_t>>>());
  }
};

// Logits are below 32. Float32 carries their sums to about 1e-5; the reference is printed with 6 decimals.
TEST_P(GoldenModel, HasTheLogitsOfTransformers) {
  const Json reference = read_json(golden_model(GetParam()) / "reference.json");
  for (const bool deterministic : {true, false}) {
    const auto model = open_without_tokenizer(golden_model(GetParam()), {.deterministic = deterministic});
    const at::Tensor logits = logits_of(*model, ids());
    for (const char* kind : {"eager", "sdpa"}) {
      const auto expected = reference[kind].get<std::vector<double>>();
      const at::Tensor wanted = tensor_of(std::span<const double>(expected)).view(logits.sizes());
      EXPECT_LE(logits.sub(wanted).abs().max().item<double>(), 3e-5) << kind;
    }
  }
}

// bfloat16 keeps 8 bits: each of the residual additions errs by at most 2^-9 of a state, which grows the relative error
// to a few percent of the largest logit.
TEST_P(GoldenModel, InBfloat16StaysNearFloat32) {
  const at::Tensor exact = logits_of(*open_without_tokenizer(golden_model(GetParam())), ids());
  const auto model = open_without_tokenizer(golden_model(GetParam()), {.dtype = DType::kBFloat16});
  const at::Tensor rough = logits_of(*model, ids());
  EXPECT_EQ(dtype_of(rough), DType::kFloat32);
  const double error = rough.sub(exact).pow(2).mean().sqrt().item<double>();
  EXPECT_LE(error, 0.05 * exact.pow(2).mean().sqrt().item<double>() + 0.02);
}

TEST_P(GoldenModel, DecodesWithACacheAsInOnePass) {
  const auto model = open_without_tokenizer(golden_model(GetParam()));
  const at::Tensor rows = ids();
  const at::Tensor whole = logits_of(*model, rows);
  const RopeTable rope = make_rope_table(model->architecture(), rows.size(1));
  std::vector<std::unique_ptr<KvCachePolicy>> caches;
  for (std::int64_t i = 0; i < model->architecture().layers; ++i) caches.push_back(make_float_kv_cache(0));
  std::int64_t position = 0;
  for (const std::int64_t count : {5, 1, 1, 3, 1, 1}) {
    at::Tensor hidden = model->embed(rows.narrow(1, position, count));
    for (std::size_t i = 0; i < caches.size(); ++i) {
      hidden = model->block(static_cast<std::int64_t>(i))->forward(hidden, rope, caches[i].get());
    }
    EXPECT_LE(model->logits(hidden).sub(whole.narrow(1, position, count)).abs().max().item<double>(), 3e-5);
    position += count;
  }
  EXPECT_EQ(caches[0]->length(), rows.size(1));
  EXPECT_GT(caches[0]->bytes(), 0);
}

TEST_P(GoldenModel, KeepsEarlierLogitsWhenALaterTokenChanges) {
  for (const DType type : {DType::kFloat32, DType::kBFloat16}) {
    const auto model = open_without_tokenizer(golden_model(GetParam()), {.dtype = type});
    const at::Tensor before = logits_of(*model, ids());
    at::Tensor changed = ids().clone();
    changed.select(1, 7).fill_(13);
    const at::Tensor after = logits_of(*model, changed);
    EXPECT_TRUE(after.narrow(1, 0, 7).equal(before.narrow(1, 0, 7)));
    EXPECT_FALSE(after.narrow(1, 7, 1).equal(before.narrow(1, 7, 1)));
  }
}

TEST_P(GoldenModel, HasTheSameBitsForAnyBatchThreadsAndOrder) {
  for (const DType type : {DType::kFloat32, DType::kBFloat16}) {
    const auto model = open_without_tokenizer(golden_model(GetParam()), {.dtype = type});
    const at::Tensor rows = ids();
    const ThreadCount two(2);
    const at::Tensor expected = logits_of(*model, rows);
    EXPECT_TRUE(logits_of(*model, rows.flip({0})).equal(expected.flip({0})));
    EXPECT_TRUE(logits_of(*model, concatenate({rows, rows, rows}, 0)).narrow(0, 2, 2).equal(expected));
    const ThreadCount one(1);
    EXPECT_TRUE(logits_of(*model, rows).equal(expected));
    for (std::int64_t i = 0; i < rows.size(0); ++i) {
      EXPECT_TRUE(logits_of(*model, rows.narrow(0, i, 1)).equal(expected.narrow(0, i, 1)));
    }
  }
}

TEST_P(GoldenModel, GivesTheSameBitsWhenStreamed) {
  const auto resident = open_without_tokenizer(golden_model(GetParam()));
  const auto streamed = open_without_tokenizer(golden_model(GetParam()), {}, Model::Residency::kStreamed);
  EXPECT_TRUE(logits_of(*streamed, ids()).equal(logits_of(*resident, ids())));
  EXPECT_EQ(resident->block(0), resident->block(0));
  EXPECT_NE(streamed->block(0), streamed->block(0));
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::erase(name, '-');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Folders, GoldenModel, ::testing::ValuesIn(golden_models()), test_name);

TEST(Model, RefusesIdsOutsideTheVocabulary) {
  const auto model = open_without_tokenizer(golden_model("rope-linear"));
  for (const std::int64_t id : {std::int64_t{24}, std::int64_t{-1}}) {
    try {
      (void)model->embed(ids_tensor({{3, id}}));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kData);
      EXPECT_EQ(std::string(error.what()), fmt::format("token id {} is outside the model's vocabulary of 24", id));
    }
  }
}

TEST(Model, RefusesToComputeInFloat16) {
  EXPECT_THROW((void)open_without_tokenizer(golden_model("rope-linear"), {.dtype = DType::kFloat16}), Error);
}

TEST(Model, RunsManyBatchesBlockByBlockAndStopsWhenAsked) {
  const auto model = open_without_tokenizer(golden_model("gqa-tied-sharded"), {}, Model::Residency::kStreamed);
  const at::Tensor first = model->embed(ids_tensor({{1, 2, 3}}));
  const at::Tensor second = model->embed(ids_tensor({{4, 5, 6, 7}, {8, 9, 10, 11}}));
  std::vector<at::Tensor> batches{first, second};
  int steps = 0;
  Cancellation cancellation;
  model->run_batches(batches, cancellation, [&] { ++steps; });
  EXPECT_EQ(steps, 4);
  EXPECT_TRUE(batches[1].equal(model->run(second)));
  cancellation.request();
  EXPECT_THROW(model->run_batches(batches, cancellation, {}), Error);
}

TEST(Block, TellsTheInputsOfItsGroupsAndGoesInSteps) {
  struct Inputs : TapSink {
    std::vector<std::string> names;
    std::vector<at::Tensor> values;
    void input(std::string_view group, const at::Tensor& x) override {
      names.emplace_back(group);
      values.push_back(x);
    }
  };
  const auto model = open_without_tokenizer(golden_model("biased-float16"));
  const auto block = model->block(0);
  const at::Tensor hidden = model->embed(ids_tensor({{1, 2, 3}, {4, 5, 6}}));
  Inputs inputs;
  const at::Tensor out = block->forward(hidden, model->rope(3), nullptr, &inputs);
  const auto groups = block->fused_groups();
  ASSERT_EQ(inputs.names.size(), groups.size());
  BlockState state = block->begin(hidden);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    EXPECT_EQ(inputs.names[g], groups[g].name);
    EXPECT_EQ(inputs.values[g].size(1), block->linear(groups[g].linears.front()).op->in_features());
    EXPECT_TRUE(inputs.values[g].equal(state.x.reshape({6, -1})));
    block->step(state, g, model->rope(3));
  }
  EXPECT_TRUE(state.residual.equal(out));
  const at::Tensor normalised = block->begin(hidden).x;
  const at::Tensor middle = hidden.add(block->attention(normalised, model->rope(3), nullptr, nullptr));
  const at::Tensor inner = rms_norm(middle, block->norm("post_attention_layernorm"), model->architecture().norm_eps);
  EXPECT_TRUE(middle.add(block->mlp(inner, nullptr)).equal(out));
}

TEST(Block, LetsGradientsFlowToItsInputWhenDifferentiable) {
  const auto model = open_without_tokenizer(golden_model("gqa-tied-sharded"), {.differentiable = true});
  const at::Tensor start = model->embed(ids_tensor({{1, 2, 3, 4}}));
  at::Tensor hidden = start.clone().requires_grad_(true);
  model->block(0)->forward(hidden, model->rope(4)).pow(2).sum().backward();
  // A central difference along one direction, in float32: 1e-3 steps on a sum of about 100 leave three digits.
  const at::Tensor direction = start.mul(0).add(1).mul(0.25);
  const auto loss = [&](double step) {
    return model->block(0)
        ->forward(start.add(direction.mul(step)), model->rope(4))
        .to(at::kDouble)
        .pow(2)
        .sum()
        .item<double>();
  };
  const double slope = (loss(1e-2) - loss(-1e-2)) / 2e-2;
  const double predicted = hidden.grad().mul(direction).sum().item<double>();
  EXPECT_NEAR(predicted, slope, 0.02 * std::abs(slope) + 0.05);
}

}  // namespace
}  // namespace lowbit
