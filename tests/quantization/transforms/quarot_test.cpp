#include "quantization/transforms/quarot.h"

#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "model/model_cases.h"
#include "quantization/driver/transformed_weights.h"
#include "quantization/small_run.h"
#include "support/changed_weights.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::golden_model;
using testing::logits_of;
using testing::recipe_of;
using testing::SmallRun;

const std::vector<std::string>& option_sets() {
  static const std::vector<std::string> all = {
      "residual: true, values: false, down_input: false", "residual: false, values: true, down_input: false",
      "residual: false, values: false, down_input: true",
      "residual: false, values: false, down_input: false, queries_keys: true", "queries_keys: true, seed: 7"};
  return all;
}

std::shared_ptr<const Recipe> quarot(const std::string& options) {
  return recipe_of("[{quarot: {" + options + "}}, {rtn: {bits: 8}}]", builtin_quantization());
}

at::Tensor some_ids(std::int64_t vocabulary) {
  const Random random(5, "ids");
  std::vector<std::int64_t> ids;
  for (std::uint64_t i = 0; i < 24; ++i) {
    ids.push_back(static_cast<std::int64_t>(random.below(i, static_cast<std::uint64_t>(vocabulary))));
  }
  return tensor_of(std::span<const std::int64_t>(ids)).view({2, 12});
}

// The same weights, each off by up to 2^-17 of itself: 128 roundings to float32.
class PerturbedWeights : public testing::ChangedWeights {
 public:
  static constexpr double kRoundings = 128;
  PerturbedWeights(std::shared_ptr<const WeightSource> base, std::uint64_t seed)
      : ChangedWeights(std::move(base)), seed_(seed) {}
  at::Tensor load(std::string_view name, const std::vector<std::int64_t>& shape) const override {
    at::Tensor weight = to_dtype(base().load(name, shape), DType::kFloat32).contiguous().clone();
    const Random random(seed_, name);
    std::uint64_t counter = 0;
    for (float& value : mutable_values_of<float>(weight)) {
      value *= static_cast<float>(1 + (2 * random.uniform(counter++) - 1) * kRoundings * 0x1p-24);
    }
    return weight;
  }

 private:
  std::uint64_t seed_;
};

// How far the logits move when every weight is rounded once: a property of the model, from 1.5e-6 to 2e-5 (rope-llama3)
// among those of the tests.
double response_to_rounding(const std::shared_ptr<const WeightSource>& weights, const at::Tensor& ids) {
  const at::Tensor expected = logits_of(*Model::make(weights, nullptr, {}), ids);
  double largest = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    const auto model = Model::make(std::make_shared<PerturbedWeights>(weights, seed), nullptr, {});
    largest = std::max(largest, logits_of(*model, ids).sub(expected).abs().max().item<double>());
  }
  return largest / PerturbedWeights::kRoundings;
}

// A float32 product of n terms is the exact one of weights that are off by sqrt(n) roundings, where roundings are as
// good as random. The original's products have that, the rotated model's too, and its states are turned on the way,
// which is another such product; its weights were rounded once more.
double tolerance(const std::shared_ptr<const WeightSource>& weights, const at::Tensor& ids) {
  const auto terms =
      static_cast<double>(std::max(weights->architecture().hidden, weights->architecture().intermediate));
  return (3 * std::sqrt(terms) + 1) * response_to_rounding(weights, ids);
}

double difference(const std::shared_ptr<const WeightSource>& weights, const std::string& options,
                  const at::Tensor& ids) {
  const auto recipe = quarot(options);
  const auto original = Model::make(weights, nullptr, {});
  const auto rotated = Model::make(std::make_shared<TransformedWeights>(weights, *recipe), nullptr, {});
  return logits_of(*rotated, ids).sub(logits_of(*original, ids)).abs().max().item<double>();
}

class QuarotOf : public ::testing::TestWithParam<std::string> {};

TEST_P(QuarotOf, KeepsTheFunction) {
  const auto weights = open_weights(golden_model(GetParam()));
  const double bound = tolerance(weights, some_ids(24));
  for (const std::string& options : option_sets())
    EXPECT_LE(difference(weights, options, some_ids(24)), bound) << options;
}

INSTANTIATE_TEST_SUITE_P(Folders, QuarotOf, ::testing::ValuesIn(testing::golden_models()), [](const auto& folder) {
  std::string name = folder.param;
  std::erase(name, '-');
  return name;
});

// Its MLP is 172 = 43 x 4 wide, for which Paley gives no matrix.
TEST(Quarot, KeepsTheFunctionOfASmallRealModel) {
  const auto path = testing::shared_data("models/stories260K");
  if (!path) GTEST_SKIP() << "no models/stories260K in the test data";
  const auto weights = open_weights(*path);
  EXPECT_EQ(rotation_for(weights->architecture().intermediate, 0, false).core, RotationCore::kOrthonormal);
  const at::Tensor ids = some_ids(weights->architecture().vocabulary);
  EXPECT_LE(difference(weights, "queries_keys: true", ids), tolerance(weights, ids));
}

TEST(Quarot, ChangesTheArchitectureAndEveryTensor) {
  const auto weights = open_weights(golden_model("biased-float16"));
  const auto recipe = quarot("queries_keys: true");
  const TransformedWeights rotated(weights, *recipe);
  EXPECT_FALSE(rotated.architecture().tied_head);
  EXPECT_EQ(rotated.architecture().down_input_rotation, rotation_for(20, 0, false));
  EXPECT_EQ(rotated.architecture().query_key_rotation, rotation_for(6, 0, false));
  EXPECT_TRUE(rotated.contains("lm_head.weight"));
  for (const StoredTensor& tensor : rotated.tensors()) {
    EXPECT_EQ(tensor.type, "F32") << tensor.name;
    const std::string stored = weights->contains(tensor.name) ? tensor.name : "model.embed_tokens.weight";
    const bool kept = tensor.name.ends_with("q_proj.bias") || tensor.name.ends_with("k_proj.bias") ||
                      tensor.name.ends_with("gate_proj.bias") || tensor.name.ends_with("up_proj.bias");
    EXPECT_EQ(rotated.load(tensor.name, tensor.shape).equal(weights->load(stored, tensor.shape)), kept) << tensor.name;
  }
}

// What rotation is for: a channel that stands out is spread over all, so that the largest weight of a row falls.
TEST(Quarot, SpreadsWhatStandsOutInOneChannel) {
  const SmallRun run;
  const std::shared_ptr<const WeightSource> base(std::shared_ptr<const void>(), &run.model().weights());
  const Quarot transform({.values = false, .down_input = false});
  const auto none = [](const std::string&) { return make_full({32}, 1.0, DType::kFloat32); };
  at::Tensor weight = make_full({4, 32}, 0.0, DType::kFloat32);
  weight.select(1, 5).fill_(8.0);
  const at::Tensor turned =
      transform.rewrite("model.layers.0.mlp.up_proj.weight", weight, run.model().architecture(), none);
  EXPECT_TRUE(turned.abs().sub(8.0 / std::sqrt(32.0)).abs().max().item<double>() < 1e-6);
}

TEST(Quarot, TurnsAnArtifactThatEvaluatesAsItsRotatedWeights) {
  SmallRun run;
  for (const char* options : {"down_input: false", "queries_keys: true"}) {
    const std::string yaml = std::string("[{quarot: {") + options + "}}, {gptq: {bits: 4, group: 4}}]";
    const std::string out = options;
    (void)run.quantize(yaml, "out");
    const auto artifact = Model::make(run.artifact("out"), nullptr, {});
    EXPECT_FALSE(artifact->architecture().tied_head);
    EXPECT_EQ(artifact->architecture().down_input_rotation.has_value(), out != "down_input: false");
    EXPECT_EQ(artifact->weights().format(),
              out == "down_input: false" ? "compressed-tensors pack-quantized" : "lowbit's own layout");
    // The same solved blocks between the rotated embedding and head, put together by hand.
    const at::Tensor ids = some_ids(20);
    const auto recipe = recipe_of(yaml, run.registries);
    const std::shared_ptr<const WeightSource> base(std::shared_ptr<const void>(), &run.model().weights());
    const auto rotated = Model::make(std::make_shared<TransformedWeights>(base, *recipe), nullptr, {});
    at::Tensor hidden = rotated->embed(ids);
    for (std::int64_t index = 0; index < 2; ++index) {
      Block block = *rotated->block(index);
      for (LinearSlot& slot : block.linears()) {
        const QuantizedWeight weight = run.layer("out", block.name() + "." + slot.name);
        slot.op = make_float_linear(weight.dequantize(), slot.op->bias());
      }
      hidden = block.forward(hidden, rotated->rope(12));
    }
    EXPECT_TRUE(logits_of(*artifact, ids).equal(rotated->logits(hidden))) << options;
    // Four bits on 4 columns keep the function recognisable; without rotation undone it would be noise.
    const at::Tensor expected = logits_of(run.model(), ids);
    const double error = logits_of(*artifact, ids).sub(expected).norm().item<double>() / expected.norm().item<double>();
    EXPECT_LT(error, 0.5) << options;
    std::filesystem::remove_all(run.path("out"));
  }
}

TEST(Quarot, GivesTheSameBitsWhenResumed) {
  SmallRun run;
  const std::string yaml = "[{quarot: {}}, {gptq: {bits: 4, group: 4}}]";
  (void)run.quantize(yaml, "whole");
  Cancellation cancellation;
  testing::CancelAfter progress(cancellation, 1);
  EXPECT_THROW((void)quantize(run.request(yaml, "cut"), progress, cancellation), Error);
  EXPECT_EQ(run.quantize(yaml, "cut").resumed_blocks, 1);
  EXPECT_EQ(run.hashes("cut"), run.hashes("whole"));
}

// Sums of whole numbers, one product with a scale and one rounding: the same bits on every machine.
TEST(Quarot, VersionIsRaisedWhenTheOutputChanges) {
  const SmallRun run;
  const Random random(7, "versions");
  at::Tensor weight = make_empty({4, 32}, DType::kFloat32);
  std::uint64_t counter = 0;
  for (float& value : mutable_values_of<float>(weight))
    value = static_cast<float>(random.below(counter++, 257)) - 128.0F;
  const auto ones = [](const std::string&) { return make_full({32}, 1.0, DType::kFloat32); };
  const Quarot transform({});
  const at::Tensor turned =
      transform.rewrite("model.layers.0.mlp.up_proj.weight", weight, run.model().architecture(), ones);
  const std::span<const std::byte> bytes = bytes_of(turned);
  const Hash hash = hash_of(bytes);
  EXPECT_EQ(std::to_string(transform.version()) + " " + hash.hex(), "1 6e654cc7123f14d8727efb9d4e6364b4");
}

TEST(Quarot, RefusesWhatItCannotDo) {
  const auto registries = builtin_quantization();
  const std::string off = "residual: false, values: false, down_input: false";
  EXPECT_THAT(testing::error_text(ErrorCode::kConfig, [&] { (void)quarot(off); }),
              ::testing::HasSubstr("'quarot' with every rotation off does nothing; leave one of 'residual', 'values', "
                                   "'down_input' and 'queries_keys' on"));
  const Quarot transform({});
  Architecture architecture = open_weights(golden_model("rope-linear"))->architecture();
  architecture = transform.rewrite(architecture);
  EXPECT_EQ(testing::error_text(ErrorCode::kUnsupported, [&] { (void)transform.rewrite(architecture); }),
            "quarot: inputs of down_proj of this model are rotated at run time already");
}

}  // namespace
}  // namespace lowbit
