// What a damaged or hostile artifact can say, and what is said of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>

#include "lowbit/base/error.h"
#include "lowbit/formats/quantized_weight.h"
#include "model/artifact_layout.h"
#include "model/compressed_tensors.h"
#include "model/small_model.h"

namespace lowbit {
namespace {

using ::testing::HasSubstr;

// The stored parts of a weight, to be damaged and read back.
class Stored {
 public:
  explicit Stored(const QuantizedWeight& weight) : description(describe_weight(weight)) {
    for (StoredPart& part : store_weight(weight)) parts[part.suffix] = part;
  }
  std::string read() const {
    std::map<std::string, TensorEntry, std::less<>> entries;
    for (const auto& [name, part] : parts) entries[name] = {name, part.type, part.shape, part.bytes};
    try {
      const QuantizedWeight weight = restore_weight(description, [&](std::string_view suffix) -> const TensorEntry* {
        const auto found = entries.find(suffix);
        return found == entries.end() ? nullptr : &found->second;
      });
      weight.check("layer");
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::kData || error.code() == ErrorCode::kUnsupported) << error.what();
      return error.what();
    }
    return "no error";
  }
  template <typename Number>
  void set(const std::string& suffix, std::size_t index, Number value) {
    std::memcpy(parts.at(suffix).bytes.data() + index * sizeof value, &value, sizeof value);
  }
  Json description;
  std::map<std::string, StoredPart> parts;
};

QuantizedWeight weight_with_everything() {
  std::vector<float> values(8 * 12);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
  const GridSpec grid{GridKind::kInteger, 4, Symmetry::kAsymmetric, "", 4, ScaleType::kFloat32};
  QuantizedWeight weight = quantize_to_nearest(tensor_of(std::span<const float>(values)).view({8, 12}), grid);
  const std::vector<std::int32_t> index = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};
  weight.group_index = tensor_of(std::span<const std::int32_t>(index));
  const std::vector<std::int32_t> rows = {1, 5};
  const std::vector<float> outliers = {4.0F, -4.0F};
  weight.outliers =
      SparseOutliers{tensor_of(std::span<const std::int32_t>(rows)), tensor_of(std::span<const std::int32_t>(rows)),
                     tensor_of(std::span<const float>(outliers))};
  return weight;
}

TEST(HostileArtifact, IsReadWhenNothingIsWrong) { EXPECT_EQ(Stored(weight_with_everything()).read(), "no error"); }

TEST(HostileArtifact, HasEveryTensorChecked) {
  const std::vector<std::pair<std::function<void(Stored&)>, std::string>> cases = {
      {[](Stored& s) { s.parts.erase("weight_shape"); }, "tensor 'weight_shape' is missing"},
      {[](Stored& s) { s.parts.erase("weight_packed"); }, "tensor 'weight_packed' is missing"},
      {[](Stored& s) { s.parts.erase("weight_scale"); }, "tensor 'weight_scale' is missing"},
      {[](Stored& s) { s.parts.erase("weight_zero_point"); }, "tensor 'weight_zero_point' is missing"},
      {[](Stored& s) { s.parts.erase("weight_outlier_columns"); }, "tensor 'weight_outlier_columns' is missing"},
      {[](Stored& s) { s.set<std::int64_t>("weight_shape", 0, -1); }, "says [-1, 12], expected two sizes"},
      {[](Stored& s) { s.set<std::int64_t>("weight_shape", 1, std::int64_t{1} << 62); }, "expected two sizes"},
      {[](Stored& s) { s.set<std::int64_t>("weight_shape", 0, 9); },
       "tensor 'weight_packed' is [8, 2], expected [9, 2]"},
      {[](Stored& s) { s.set<std::int64_t>("weight_shape", 1, 1 << 24); },
       "tensor 'weight_g_idx' is [12], expected [16777216]"},
      {[](Stored& s) { s.set<std::int32_t>("weight_g_idx", 3, 3); }, "group index 3 is outside 0 .. 2"},
      {[](Stored& s) { s.set<std::int32_t>("weight_g_idx", 3, -1); },
       "tensor 'weight_g_idx' holds -1, expected an index"},
      {[](Stored& s) { s.set("weight_scale", 5, std::numeric_limits<float>::quiet_NaN()); },
       "layer: scales hold nan at position 5"},
      {[](Stored& s) { s.set("weight_scale", 5, -std::numeric_limits<float>::infinity()); },
       "layer: scales hold -inf at position 5"},
      {[](Stored& s) { s.parts["weight_scale"].type = StorageType::kF16; },
       "tensor 'weight_scale' has type F16, expected float32"},
      {[](Stored& s) { s.parts["weight_scale"].type = StorageType::kI32; },
       "scales have type I32, expected F16, BF16, F32, F8_E8M0, F8_E4M3 or U8"},
      {[](Stored& s) { s.parts["weight_packed"].type = StorageType::kF32; },
       "tensor 'weight_packed' has type F32, expected I32"},
      {[](Stored& s) { s.set<std::int32_t>("weight_outlier_offsets", 8, 1000); }, "does not count 2 outliers"},
      {[](Stored& s) {
         s.set<std::int32_t>("weight_outlier_offsets", 1, 2);
         s.set<std::int32_t>("weight_outlier_offsets", 2, 1);
       },
       "does not count 2 outliers"},
      {[](Stored& s) { s.set<std::uint16_t>("weight_outlier_columns", 0, 12); },
       "layer: outlier 0 at row 1, column 12 is outside [8, 12]"},
      {[](Stored& s) { s.description["bits"] = 9; }, "grid: 9 bits, expected 2 to 8"},
      {[](Stored& s) { s.description["bits"] = "four"; }, "the description's 'bits' is \"four\""},
      {[](Stored& s) { s.description.erase("group"); }, "the description has no 'group'"},
      {[](Stored& s) { s.description["group"] = -7; }, "grid: group -7"},
      {[](Stored& s) { s.description["kind"] = "float"; }, "unknown grid kind 'float'"},
      {[](Stored& s) { s.description["symmetry"] = "odd"; }, "unknown symmetry 'odd'"},
      {[](Stored& s) {
         s.description["nested_scales"] = {{"bits", 3}, {"run", 0}};
       },
       "nested scales of 3 bits in runs of 0 rows"},
      {[](Stored& s) {
         s.description["rotations"] = {{{"side", "up"}}};
       },
       "a rotation of side 'up'"},
      {[](Stored& s) { s.description = Json::array(); }, "the description is [], expected an object"},
  };
  for (const auto& [damage, expected] : cases) {
    Stored stored(weight_with_everything());
    damage(stored);
    EXPECT_THAT(stored.read(), HasSubstr(expected));
  }
}

TEST(HostileArtifact, HasItsScalesOfTwoLevelsChecked) {
  const at::Tensor weight = make_full({4, 32}, 0.5, DType::kFloat32);
  const QuantizedWeight nvfp4 = quantize_to_nearest(weight, GridOptions::of(NumberFormat::kNvfp4).spec());
  const auto read_with = [&](const std::function<void(Stored&)>& damage) {
    Stored stored(nvfp4);
    damage(stored);
    return stored.read();
  };
  EXPECT_EQ(read_with([](Stored& s) { s.parts.erase("weight_global_scale"); }),
            "tensor 'weight_global_scale' is missing");
  EXPECT_EQ(read_with([](Stored& s) { s.set("weight_global_scale", 0, -1.0F); }),
            "tensor 'weight_global_scale' holds -1, expected a positive number");
  EXPECT_THAT(read_with([](Stored& s) { s.parts["weight_global_scale"].shape = {1, 1}; }), HasSubstr("expected [1]"));
  EXPECT_THAT(read_with([](Stored& s) { s.set<std::uint8_t>("weight_scale", 1, 0x7F); }), HasSubstr("scales hold nan"));
  EXPECT_THAT(read_with([](Stored& s) { s.set<std::uint8_t>("weight_scale", 1, 0x00); }),
              HasSubstr("scales hold 0 at position 1, which type e4m3 cannot store"));
  EXPECT_THAT(read_with([](Stored& s) { s.set<std::uint8_t>("weight_scale", 1, 0x90); }),
              HasSubstr("which type e4m3 cannot store"));
  EXPECT_THAT(read_with([](Stored& s) { s.description["scale_rule"] = "least"; }),
              HasSubstr("unknown scale rule 'least'"));
}

TEST(HostileArtifact, HasItsDescriptionHeldAgainstTheCodes) {
  Stored stored(weight_with_everything());
  stored.description["bits"] = 8;
  EXPECT_THAT(stored.read(), HasSubstr("tensor 'weight_packed' is [8, 2], expected [8, 3]"));
}

Json config_with(const std::function<void(Json&)>& change) {
  Json config = compressed_tensors_config(
      {{"model.layers.0.mlp.up_proj", {4, true, 32}}, {"model.layers.0.mlp.down_proj", {8, false, -1}}}, {});
  change(config);
  return config;
}

std::string problem_of(const Json& config, const std::string& linear = "model.layers.0.mlp.up_proj") {
  try {
    (void)CompressedTensorsConfig(config, "config.json").scheme_of(linear);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(CompressedTensorsConfig, ReadsWhatItWrites) {
  const CompressedTensorsConfig config(config_with([](Json&) {}), "config.json");
  EXPECT_EQ(config.scheme_of("model.layers.0.mlp.up_proj"), (PackedScheme{4, true, 32}));
  EXPECT_EQ(config.scheme_of("model.layers.0.mlp.down_proj"), (PackedScheme{8, false, -1}));
}

TEST(CompressedTensorsConfig, SaysHowInputsAreRounded) {
  using Per = ActivationScheme::Per;
  using Type = ActivationScheme::Type;
  // The convention of symmetric ranges is the reader's own.
  const std::vector<ActivationScheme> schemes = {{Type::kInteger, 8, Symmetry::kSymOffset, Per::kToken},
                                                 {Type::kInteger, 4, Symmetry::kAsymmetric, Per::kTensor},
                                                 {Type::kInteger, 8, Symmetry::kSymOffset, Per::kGroup, 64},
                                                 {Type::kFloat8, 8, Symmetry::kSymOffset, Per::kToken}};
  for (const ActivationScheme& scheme : schemes) {
    const Json config =
        compressed_tensors_config({{"a", {8, true, -1, CodeLayout::kPacked, scheme}}, {"b", {8, true, -1}}}, {});
    EXPECT_EQ(config["config_groups"].size(), 2U);
    const CompressedTensorsConfig read(config, "config.json");
    EXPECT_EQ(read.scheme_of("a").input, scheme) << scheme.text();
    EXPECT_FALSE(read.scheme_of("b").input.has_value());
  }
  const Json config = compressed_tensors_config({{"a", {8, true, -1, CodeLayout::kPacked, ActivationScheme()}}}, {});
  EXPECT_EQ(config["config_groups"]["group_0"]["input_activations"].dump(),
            R"({"num_bits":8,"type":"int","symmetric":true,"strategy":"token","group_size":null,"dynamic":true})");
}

TEST(CompressedTensorsConfig, MatchesPatternsFromTheStartOfAName) {
  Json config = config_with([](Json& c) { c["config_groups"]["group_0"]["targets"] = {"re:.*up_proj$"}; });
  EXPECT_EQ(problem_of(config), "no error");
  config["config_groups"]["group_0"]["targets"] = {"re:layers.*up_proj$"};
  EXPECT_EQ(problem_of(config),
            "config.json: no group of quantization_config names 'model.layers.0.mlp.up_proj', which is stored packed");
}

TEST(CompressedTensorsConfig, NamesWhatItCannotRead) {
  const auto group = [](const char* key, const Json& value) {
    return config_with([&](Json& c) { c["config_groups"]["group_0"][key] = value; });
  };
  const auto weights = [](const char* key, const Json& value) {
    return config_with([&](Json& c) { c["config_groups"]["group_0"]["weights"][key] = value; });
  };
  const std::string origin = "config.json: quantization_config: ";
  EXPECT_EQ(problem_of(config_with([](Json& c) { c["format"] = "marlin-24"; })),
            origin +
                "format 'marlin-24', expected 'pack-quantized', 'float-quantized', 'nvfp4-pack-quantized' or "
                "'mxfp4-pack-quantized'");
  EXPECT_EQ(problem_of(config_with([](Json& c) { c["kv_cache_scheme"] = Json::object(); })),
            origin + "'kv_cache_scheme' is set, and lowbit reads quantized weights and inputs only");
  EXPECT_EQ(problem_of(config_with([](Json& c) { c["config_groups"] = 3; })),
            origin + "'config_groups' is missing or not an object");
  EXPECT_EQ(problem_of(group("output_activations", Json::object())),
            origin + "group_0: 'output_activations' are quantized, and lowbit reads quantized weights and inputs only");
  EXPECT_EQ(problem_of(group("input_activations", {{"type", "int"}, {"num_bits", 16}})),
            origin +
                "group_0: input_activations: inputs of type 'int' with 16 bits, expected 'int' of 2 to 8 or 'float' "
                "of 8");
  EXPECT_EQ(problem_of(group("input_activations", {{"strategy", "tensor"}, {"dynamic", true}})),
            origin +
                "group_0: input_activations: inputs with strategy 'tensor' and 'dynamic: true', expected dynamic "
                "ranges per 'token' or 'group', or a static one per 'tensor'");
  EXPECT_EQ(problem_of(group("format", "nvfp4-pack-quantized")),
            origin + "group_0: weights of type 'int', expected 'float'");
  EXPECT_EQ(problem_of(config_with([](Json& c) {
              c["config_groups"]["group_0"]["format"] = "mxfp4-pack-quantized";
              c["config_groups"]["group_0"]["weights"]["type"] = "float";
              c["config_groups"]["group_0"]["weights"]["group_size"] = 64;
            })),
            origin + "group_0: format 'mxfp4-pack-quantized' with 4 bits, symmetric, group 64");
  EXPECT_EQ(problem_of(group("targets", "Linear")), origin + "group_0: 'targets' is missing or not a list");
  EXPECT_EQ(problem_of(weights("type", "float")), origin + "group_0: weights of type 'float', expected 'int'");
  EXPECT_EQ(problem_of(weights("num_bits", 16)), origin + "group_0: weights of 16 bits, expected 2 to 8");
  EXPECT_EQ(problem_of(weights("num_bits", "4")), origin + "group_0: 'num_bits' is \"4\", expected a whole number");
  EXPECT_EQ(problem_of(weights("strategy", "block")),
            origin + "group_0: strategy 'block', expected 'group', 'channel' or 'tensor'");
  EXPECT_EQ(problem_of(weights("group_size", -4)), origin + "group_0: strategy 'group' with 'group_size' -4");
}

}  // namespace
}  // namespace lowbit
