#include "lowbit/model/architecture.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/base/json.h"

namespace lowbit {
namespace {

Json small_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", 64},
          {"intermediate_size", 128},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"vocab_size", 100},
          {"max_position_embeddings", 256}};
}

Architecture parse(const Json& config) { return architecture_from_config(config.dump(), "config.json"); }

std::string error_of(const Json& config) {
  try {
    (void)parse(config);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

Json with(const char* key, Json value) {
  Json config = small_config();
  config[key] = std::move(value);
  return config;
}

TEST(ArchitectureFromConfig, FillsInTheDefaultsOfLlama) {
  const Architecture a = parse(small_config());
  EXPECT_EQ(a.kv_heads, 4);
  EXPECT_EQ(a.head_dim, 16);
  EXPECT_EQ(a.norm_eps, 1e-6);
  EXPECT_EQ(a.rope_theta, 10000.0);
  EXPECT_FALSE(a.tied_head);
  EXPECT_TRUE(a.eos.empty());
}

TEST(ArchitectureFromConfig, ReadsOneOrSeveralEndTokens) {
  EXPECT_EQ(parse(with("eos_token_id", 7)).eos, std::vector<std::int64_t>{7});
  EXPECT_EQ(parse(with("eos_token_id", {7, 8})).eos, (std::vector<std::int64_t>{7, 8}));
  EXPECT_TRUE(parse(with("eos_token_id", nullptr)).eos.empty());
}

TEST(ArchitectureFromConfig, ReadsEverySpellingOfRopeScaling) {
  const Json old = {{"type", "linear"}, {"factor", 4.0}};
  const Json newer = {{"rope_type", "linear"}, {"factor", 4.0}};
  const Json newest = {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 500000.0}};
  for (const Json& config : {with("rope_scaling", old), with("rope_scaling", newer), with("rope_parameters", newest)}) {
    const Architecture a = parse(config);
    EXPECT_EQ(a.rope_scaling.kind, RopeScalingKind::kLinear);
    EXPECT_EQ(a.rope_scaling.factor, 4.0);
  }
  EXPECT_EQ(parse(with("rope_parameters", newest)).rope_theta, 500000.0);
  EXPECT_EQ(parse(with("rope_scaling", nullptr)).rope_scaling.kind, RopeScalingKind::kNone);
}

TEST(ArchitectureFromConfig, NamesWhatIsWrong) {
  EXPECT_EQ(error_of(with("architectures", {"MambaForCausalLM"})),
            "config.json: architecture 'MambaForCausalLM' is not supported, expected LlamaForCausalLM");
  Json config = small_config();
  config.erase("hidden_size");
  EXPECT_EQ(error_of(config), "config.json: 'hidden_size' is missing");
  EXPECT_EQ(error_of(with("hidden_size", "big")), "config.json: 'hidden_size' is \"big\", expected a whole number");
  EXPECT_EQ(error_of(with("hidden_size", 64.5)), "config.json: 'hidden_size' is 64.5, expected a whole number");
  EXPECT_EQ(error_of(with("num_hidden_layers", 0)), "config.json: 'num_hidden_layers' is 0, expected 1 to 4096");
  EXPECT_EQ(error_of(with("num_hidden_layers", 1'000'000'000)),
            "config.json: 'num_hidden_layers' is 1000000000, expected 1 to 4096");
  EXPECT_EQ(error_of(with("vocab_size", std::uint64_t{1} << 63)),
            "config.json: 'vocab_size' is 9223372036854775808, expected a smaller number");
  EXPECT_EQ(error_of(with("vocab_size", -5)), "config.json: 'vocab_size' is -5, expected 1 to 16777216");
  EXPECT_EQ(error_of(with("num_attention_heads", 3)),
            "config.json: 'hidden_size' 64 is not a multiple of 'num_attention_heads' 3, and 'head_dim' is missing");
  EXPECT_EQ(error_of(with("num_attention_heads", 0)),
            "config.json: 'hidden_size' 64 is not a multiple of 'num_attention_heads' 0, and 'head_dim' is missing");
  EXPECT_EQ(error_of(with("num_key_value_heads", 3)),
            "config.json: 'num_attention_heads' is 4, not a multiple of 'num_key_value_heads' 3");
  EXPECT_EQ(error_of(with("head_dim", 7)), "config.json: 'head_dim' is 7, expected an even number");
  EXPECT_EQ(error_of(with("rms_norm_eps", 0)), "config.json: 'rms_norm_eps' is 0, expected a positive number");
  EXPECT_EQ(error_of(with("hidden_act", "mish")),
            "config.json: 'hidden_act' is 'mish', expected silu, gelu_pytorch_tanh or relu");
  EXPECT_EQ(error_of(with("tie_word_embeddings", "yes")),
            "config.json: 'tie_word_embeddings' is \"yes\", expected true or false");
  EXPECT_EQ(error_of(with("eos_token_id", 100)), "config.json: 'eos_token_id' is 100, outside the vocabulary of 100");
  EXPECT_EQ(
      error_of(with("rope_scaling", {{"type", "spiral"}, {"factor", 2}})),
      "config.json: rope scaling 'spiral' is not known, expected default, linear, dynamic, yarn, longrope or llama3");
  EXPECT_EQ(error_of(with("rope_scaling", {{"type", "linear"}})), "config.json: rope scaling has no 'factor'");
  EXPECT_EQ(error_of(with("rope_scaling", "linear")), "config.json: expected a JSON object, got \"linear\"");
  EXPECT_EQ(error_of(with("rope_theta", -1.0)), "config.json: 'rope_theta' is -1, expected a positive number");
  EXPECT_EQ(error_of(Json::array()), "config.json: expected a JSON object, got a list");
  EXPECT_EQ(error_of(with("rope_scaling", {{"rope_type", "divisors"}, {"divisors", Json::array({1.0})}})),
            "config.json: 'divisors' has 1 numbers, expected head_dim / 2 = 8");
}

TEST(ArchitectureFromConfig, NamesWhatIsWrongWithARotation) {
  const auto error = [](const Json& rotation) {
    return error_of(with("lowbit_rotations", {{"down_input", rotation}}));
  };
  EXPECT_EQ(
      error({{"core", "spiral"}}),
      "config.json: lowbit_rotations: down_input: 'core' is 'spiral', expected none, paley1, paley2 or orthonormal");
  EXPECT_EQ(error({{"core", "none"}}), "config.json: lowbit_rotations: down_input: 'core_order' is missing");
  EXPECT_EQ(error({{"core", "orthonormal"}, {"core_order", 1}, {"seed", -1}}),
            "config.json: lowbit_rotations: down_input: 'seed' is -1, expected at least 0");
  EXPECT_EQ(error({{"core", "paley1"}, {"core_order", std::int64_t{1} << 40}}),
            "config.json: the rotation of the input of down_proj has a core of order 1099511627776, expected 1 to 512");
  EXPECT_EQ(error("all"), "config.json: lowbit_rotations: down_input: expected a JSON object, got \"all\"");
}

TEST(ArchitectureFromConfig, RefusesNumbersThatAreNone) {
  const std::string text = R"({"model_type": "llama", "hidden_size": NaN})";
  EXPECT_THROW((void)architecture_from_config(text, "config.json"), Error);
}

TEST(ConfigJson, ReadsBackAsTheSameArchitecture) {
  const Json yarn = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 64}, {"rope_theta", 5e5}};
  Json config = with("rope_parameters", yarn);
  config["eos_token_id"] = {3, 4};
  config["tie_word_embeddings"] = true;
  const Architecture a = parse(config);
  const Architecture b = architecture_from_config(config_json_of(a, "float32"), "again");
  EXPECT_EQ(b.rope_theta, 5e5);
  EXPECT_EQ(b.rope_scaling.kind, RopeScalingKind::kYarn);
  EXPECT_EQ(b.rope_scaling.original_context, 64);
  EXPECT_EQ(b.eos, a.eos);
  EXPECT_EQ(b.parameters(), a.parameters());
  EXPECT_EQ(config_json_of(b, "float32"), config_json_of(a, "float32"));
}

// SmolLM2-135M as its authors count it: 134,515,008 parameters, of which 106,204,608 are in the blocks' matrices.
TEST(Architecture, CountsItsParameters) {
  Json config = small_config();
  config.update({{"hidden_size", 576},
                 {"intermediate_size", 1536},
                 {"num_hidden_layers", 30},
                 {"num_attention_heads", 9},
                 {"num_key_value_heads", 3},
                 {"vocab_size", 49152},
                 {"tie_word_embeddings", true}});
  const Architecture a = parse(config);
  EXPECT_EQ(a.parameters(), 134'515'008);
  EXPECT_EQ(a.multiply_adds(), 30 * 3'538'944 + 49152 * 576);
}

Architecture llama31() {
  Architecture a;
  a.head_dim = 128;
  a.context = 131072;
  a.rope_theta = 5e5;
  a.rope_scaling.kind = RopeScalingKind::kLlama3;
  a.rope_scaling.factor = 8;
  a.rope_scaling.original_context = 8192;
  return a;
}

// Values of an independent derivation in double precision.
TEST(RopeFrequencies, OfLlama3EqualTheTable) {
  const std::vector<double> inverse = rope_frequencies(llama31(), 100).inverse;
  const std::pair<std::size_t, double> table[] = {{28, 0.003211445994752591},  {29, 0.002166570763503359},
                                                  {30, 0.0013718935677611381}, {34, 0.0001785078127679964},
                                                  {35, 9.556212353964683e-05}, {63, 3.068925988914511e-07}};
  for (const auto& [i, value] : table) EXPECT_NEAR(inverse[i] / value, 1.0, 1e-12) << i;
}

TEST(RopeFrequencies, OfDynamicScalingChangeOnlyBeyondTheContext) {
  Architecture a = llama31();
  a.context = 100;
  a.rope_scaling.kind = RopeScalingKind::kDynamic;
  a.rope_scaling.factor = 2;
  EXPECT_EQ(rope_frequencies(a, 100).inverse, rope_frequencies(a, 1).inverse);
  const double theta = 5e5 * std::pow(2.0 * 300 / 100 - 1.0, 128.0 / 126.0);
  EXPECT_NEAR(rope_frequencies(a, 300).inverse[10], std::pow(theta, -20.0 / 128.0), 1e-12);
}

TEST(RopeFrequencies, OfYarnKeepFastAndStretchSlowDimensions) {
  Architecture a = llama31();
  a.rope_scaling.kind = RopeScalingKind::kYarn;
  a.rope_scaling.factor = 4;
  a.rope_scaling.original_context = 4096;
  const RopeFrequencies yarn = rope_frequencies(a, 1);
  a.rope_scaling.kind = RopeScalingKind::kNone;
  const std::vector<double> plain = rope_frequencies(a, 1).inverse;
  EXPECT_EQ(yarn.inverse[0], plain[0]);
  EXPECT_DOUBLE_EQ(yarn.inverse[63], plain[63] / 4);
  EXPECT_DOUBLE_EQ(yarn.attention_factor, 0.1 * std::log(4.0) + 1.0);
}

}  // namespace
}  // namespace lowbit
