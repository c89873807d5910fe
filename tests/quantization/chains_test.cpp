// Recipes of several steps, from YAML to the logits of the artifact, on models with grouped queries, biases, tied heads
// and widths that are no multiple of the group.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "model/model_cases.h"
#include "quantization/small_run.h"

namespace lowbit {
namespace {

enum class Outliers {
  kNone,
  kOfNorms,     ///< in what norms give
  kEverywhere,  ///< and in the input of down_proj
};

// The same function with two input channels of linears 64 times as large, and their columns as much smaller.
class OutlierSource : public WeightSource {
 public:
  OutlierSource(std::shared_ptr<const WeightSource> base, Outliers outliers)
      : base_(std::move(base)), outliers_(outliers) {}

  const Architecture& architecture() const override { return base_->architecture(); }
  const std::vector<StoredTensor>& tensors() const override { return base_->tensors(); }
  bool contains(std::string_view name) const override { return base_->contains(name); }
  at::Tensor load(std::string_view name, const std::vector<std::int64_t>& shape) const override {
    at::Tensor tensor = base_->load(name, shape).clone();
    const bool is_norm = name.ends_with("layernorm.weight");
    const bool reads_norm = name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight") ||
                            name.ends_with("v_proj.weight") || name.ends_with("gate_proj.weight") ||
                            name.ends_with("up_proj.weight");
    for (const std::int64_t channel : {3, 9}) {
      if (is_norm || reads_norm) tensor.select(-1, channel).mul_(is_norm ? 64.0 : 1.0 / 64.0);
      if (outliers_ == Outliers::kOfNorms) continue;
      if (name.ends_with("up_proj.weight") || name.ends_with("up_proj.bias")) tensor.select(0, channel).mul_(64.0);
      if (name.ends_with("down_proj.weight")) tensor.select(-1, channel).mul_(1.0 / 64.0);
    }
    return tensor;
  }
  std::optional<QuantizedWeight> load_quantized(std::string_view) const override { return std::nullopt; }
  Hash fingerprint() const override { return hash_of("outliers " + base_->fingerprint().hex()); }
  const std::filesystem::path& path() const override { return base_->path(); }
  std::string format() const override { return base_->format(); }

 private:
  std::shared_ptr<const WeightSource> base_;
  Outliers outliers_;
};

class Chains : public ::testing::Test {
 protected:
  explicit Chains() { set_thread_count(1); }

  // The relative distance of the logits from the float model's.
  double error_of(const std::string& name, const std::string& yaml, Outliers outliers = Outliers::kNone) {
    std::shared_ptr<const WeightSource> weights = open_weights(testing::golden_model(name));
    if (outliers != Outliers::kNone) weights = std::make_shared<OutlierSource>(weights, outliers);
    const RuntimeReaders readers = runtime_readers(registries_);
    const auto model =
        Model::make(weights, std::make_unique<testing::NoTokenizer>(), {}, Model::Residency::kResident, readers);
    CalibrationSet calibration;
    const Random random(3, "tokens");
    for (std::uint64_t sequence = 0; sequence < 8; ++sequence) {
      std::vector<TokenId> ids;
      for (std::uint64_t token = 0; token < 24; ++token) {
        ids.push_back(static_cast<TokenId>(random.below(sequence * 24 + token, 24)));
      }
      calibration.sequences.push_back(std::move(ids));
    }
    calibration.hash = hash_of("random tokens");
    const std::filesystem::path output = folder_ / std::to_string(runs_++);
    const QuantizeRequest request{model, testing::recipe_of(yaml, registries_), &calibration, 0, output};
    (void)quantize(request, *silent_progress(), Cancellation());
    const auto quantized = Model::make(open_weights(output), nullptr, {}, Model::Residency::kStreamed, readers);
    const at::Tensor ids = make_arange(24, DType::kInt64).unsqueeze(0);
    const at::Tensor exact = testing::logits_of(*model, ids);
    return testing::logits_of(*quantized, ids).sub(exact).norm().item<double>() / exact.norm().item<double>();
  }

  testing::TemporaryFolder folder_;
  QuantizationRegistries registries_ = builtin_quantization();
  int runs_ = 0;
};

const char* const kModels[] = {"gqa-tied-sharded", "biased-float16", "mha-untied-bfloat16"};

// 6 divides neither 16 nor 20 columns.
TEST_F(Chains, OfEightBitsStayNearTheFloatModel) {
  for (const char* model : kModels) {
    for (const char* yaml :
         {"[{rtn: {bits: 8, group: -1}}, {activations: {bits: 8}}]",
          "[{smoothquant: {}}, {rtn: {bits: 8, group: 6}}, {activations: {bits: 8, per: group, group: 6}}]",
          "[{smoothquant: {groups: [attention_input, o_input, mlp_input, down_input]}}, {rtn: {bits: 8, group: -1}}, "
          "{activations: {bits: 8, per: tensor}}]",
          "[{smoothquant: {run_time: true}}, {gptq: {bits: 8, group: 6}}, {activations: {symmetry: asymmetric}}]",
          "[{awq: {}}, {rtn: {bits: 8, group: 6}}, {activations: {bits: 8}}]",
          "[{rtn: {bits: 8, group: -1, symmetry: sym_restricted}}, {llm_int8: {threshold: 2}}]"}) {
      const double error = error_of(model, yaml);
      // Inputs lose up to 1/254 of the largest one on each of the eight products in a row.
      EXPECT_LT(error, 0.1) << model << " " << yaml;
      EXPECT_GT(error, 0) << model << " " << yaml;
    }
  }
}

TEST_F(Chains, RoundInputsToFloat8BetterThanToFourBitsAndWorseThanToEight) {
  for (const char* model : kModels) {
    const double float8 = error_of(model, "[{rtn: {bits: 8, group: 6}}, {activations: {type: fp8}}]");
    EXPECT_LT(float8, error_of(model, "[{rtn: {bits: 8, group: 6}}, {activations: {bits: 4}}]")) << model;
    EXPECT_GT(float8, error_of(model, "[{rtn: {bits: 8, group: 6}}, {activations: {bits: 8}}]")) << model;
  }
}

TEST_F(Chains, LoseMoreWithFewerBits) {
  for (const char* model : kModels) {
    double before = 0;
    for (const int bits : {8, 6, 4, 2}) {
      const double error = error_of(model, "[{smoothquant: {}}, {gptq: {bits: 8, group: 6}}, {activations: {bits: " +
                                               std::to_string(bits) + "}}]");
      EXPECT_GT(error, before) << model << " " << bits;
      before = error;
    }
  }
}

TEST_F(Chains, RescueEightBitsFromOutlierChannelsBySmoothing) {
  const std::string rounding = "{rtn: {bits: 8, group: -1}}, {activations: {bits: 8, per: tensor}}]";
  for (const char* model : kModels) {
    const double plain = error_of(model, "[" + rounding, Outliers::kOfNorms);
    const double smoothed = error_of(model, "[{smoothquant: {alpha: 0.5}}, " + rounding, Outliers::kOfNorms);
    EXPECT_LT(smoothed, plain / 2) << model;
    // Near what the model without outliers loses.
    EXPECT_LT(smoothed, 3 * error_of(model, "[" + rounding)) << model;
  }
}

// The norms are folded, so that their outliers are gone; the two in the input of down_proj are spread over all of its
// 20 channels while the model runs, which leaves sqrt(2 / 20) of their size: errors fall by 3.2, of which half must be
// seen. What is rounded is what was turned.
TEST_F(Chains, RescueRoundedInputsFromOutlierChannelsByRotation) {
  for (const char* rounding : {"{rtn: {bits: 8, group: -1}}, {activations: {bits: 8}}]",
                               "{gptq: {bits: 8, group: -1}}, {activations: {bits: 8, per: tensor}}]"}) {
    for (const char* model : kModels) {
      const double plain = error_of(model, std::string("[") + rounding, Outliers::kEverywhere);
      const double rotated = error_of(model, std::string("[{quarot: {}}, ") + rounding, Outliers::kEverywhere);
      EXPECT_LT(rotated, plain / 1.6) << model << rounding;
      EXPECT_GT(rotated, 0) << model << rounding;
    }
  }
}

TEST_F(Chains, KeepColumnsOfOutlierChannelsByAwqsScales) {
  for (const char* model : kModels) {
    for (const int bits : {3, 4}) {
      const std::string rounding = "{rtn: {bits: " + std::to_string(bits) + ", group: 8}}]";
      EXPECT_LT(error_of(model, "[{awq: {}}, " + rounding, Outliers::kOfNorms),
                error_of(model, "[" + rounding, Outliers::kOfNorms))
          << model << bits;
    }
  }
}

TEST_F(Chains, MixSolversAndExecutionsByLayer) {
  const std::string yaml =
      "[{awq: {groups: [mlp_input, down_input]}}, {gptq: {bits: 4, group: 6}, layers: ['*.mlp.*'], overrides: "
      "[{layers: "
      "['*.down_proj'], bits: 8}]}, {rtn: {bits: 8, group: -1}, layers: ['*.q_proj', '*.k_proj', '*.v_proj']}, "
      "{activations: {bits: 8}, layers: ['*.mlp.*']}, {llm_int8: {}, layers: ['*.q_proj', '*.k_proj', '*.v_proj']}]";
  for (const char* model : kModels) EXPECT_LT(error_of(model, yaml), 0.5) << model;
}

}  // namespace
}  // namespace lowbit
