// Against numbers made by ml_dtypes, bitsandbytes and compressed-tensors: tests/golden/formats/number_formats.py.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "formats/grid_fit.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/half.h"
#include "lowbit/base/json.h"
#include "lowbit/base/random.h"
#include "lowbit/formats/codebooks.h"
#include "lowbit/formats/quantized_weight.h"
#include "lowbit/tensor/factory.h"
#include "support/source_folder.h"

namespace lowbit {
namespace {

using ::testing::HasSubstr;

GridSpec grid_of(const std::string& yaml) {
  ConfigProblems problems;
  GridOptions options;
  decode_fields(ConfigNode::parse(yaml, "x.yaml"), options, problems);
  problems.throw_if_any();
  return options.spec();
}

std::string problem_of(const std::string& yaml) {
  try {
    (void)grid_of(yaml);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

at::Tensor random_matrix(std::int64_t rows, std::int64_t columns) {
  const Random random(17, "number formats");
  at::Tensor matrix = make_empty({rows, columns}, DType::kFloat32);
  std::uint64_t counter = 0;
  for (float& value : mutable_values_of<float>(matrix)) value = static_cast<float>(random.normal(counter++));
  return matrix;
}

const std::vector<std::string>& format_names() {
  static const std::vector<std::string> names = {
      "offset",  "nf4",   "fp4",        "e2m1",       "e2m3",       "e3m2",       "e4m3",   "e5m2",
      "ternary", "mxfp4", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e4m3", "mxfp8_e5m2", "mxint8", "nvfp4"};
  return names;
}

class OtherPrograms : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::filesystem::path path = lowbit::testing::source_folder() / "tests/golden/formats/number_formats.json";
    golden_ = parse_json(read_file(path), path.string());
    const auto values = golden_["weight"].get<std::vector<float>>();
    weight_ = tensor_of(std::span<const float>(values)).view({golden_["rows"], golden_["columns"]});
  }
  static void expect_equal(const at::Tensor& found, const Json& expected, const std::string& what) {
    const at::Tensor values = found.contiguous();
    const auto numbers = values_of<float>(values);
    ASSERT_EQ(numbers.size(), expected.size()) << what;
    for (std::size_t i = 0; i < numbers.size(); ++i)
      EXPECT_EQ(numbers[i], expected[i].get<float>()) << what << " " << i;
  }
  Json golden_;
  at::Tensor weight_;
};

TEST_F(OtherPrograms, HaveTheSameFloatingPointTablesAndRoundings) {
  for (const Json& type : golden_["types"]) {
    const Codebook& codebook = find_codebook(type["name"].get<std::string>());
    ASSERT_EQ(codebook.table.size(), type["table"].size());
    for (std::size_t code = 0; code < codebook.table.size(); ++code) {
      if (type["table"][code].is_null()) {
        EXPECT_TRUE(std::isnan(codebook.table[code])) << codebook.name << " code " << code;
      } else {
        EXPECT_EQ(codebook.table[code], type["table"][code].get<float>()) << codebook.name << " code " << code;
      }
    }
    for (std::size_t i = 0; i < type["values"].size(); ++i) {
      const float value = type["values"][i];
      EXPECT_EQ(codebook.table[nearest_code(codebook, value)], type["rounded"][i].get<float>())
          << codebook.name << " of " << value;
    }
  }
}

TEST_F(OtherPrograms, QuantizeToNf4AndFp4AsBitsandbytesDoes) {
  for (const Json& c : golden_["bitsandbytes"]) {
    const std::string name = c["name"];
    expect_equal(tensor_of(find_codebook(name).table), c["table"], name);
    const QuantizedWeight quantized = quantize_to_nearest(weight_, grid_of("{format: " + name + ", scale: float32}"));
    expect_equal(quantized.scales, c["absmax"], name + " scale");
    expect_equal(quantized.dequantize(), c["dequantized"], name + " weight");
  }
}

TEST_F(OtherPrograms, QuantizeToMxfp4AndNvfp4AsCompressedTensorsDoes) {
  const Json& mx = golden_["compressed_tensors"][0];
  const QuantizedWeight mxfp4 = quantize_to_nearest(weight_, grid_of("{format: mxfp4, scale_rule: even}"));
  expect_equal(mxfp4.scales, mx["scales"], "mxfp4 scale");
  expect_equal(mxfp4.dequantize(), mx["dequantized"], "mxfp4 weight");

  const Json& nv = golden_["compressed_tensors"][1];
  const QuantizedWeight nvfp4 = quantize_to_nearest(weight_, grid_of("{format: nvfp4}"));
  EXPECT_EQ(nvfp4.grid.tensor_scale, nv["tensor_scale"].get<float>());
  // There the two levels are kept apart.
  at::Tensor scales = tensor_of(std::span<const float>(nv["scales"].get<std::vector<float>>()));
  for (float& scale : mutable_values_of<float>(scales)) scale /= nvfp4.grid.tensor_scale;
  EXPECT_TRUE(nvfp4.scales.flatten().equal(scales));
  expect_equal(nvfp4.dequantize(), nv["dequantized"], "nvfp4 weight");
}

TEST(NumberFormat, HasTheGroupAndScalesOfItsDefinition) {
  EXPECT_EQ(grid_of("{format: mxfp4}").text(), "e2m1 g32, e8m0 scales by floor");
  EXPECT_EQ(grid_of("{format: mxfp8_e5m2}").text(), "e5m2 g32, e8m0 scales by floor");
  EXPECT_EQ(grid_of("{format: mxint8}").bits, 8);
  EXPECT_EQ(grid_of("{format: nvfp4}").text(), "e2m1 g16, e4m3 scales");
  EXPECT_EQ(grid_of("{format: nf4}").text(), "nf4 g64");
  EXPECT_EQ(grid_of("{scale: uint8}").text(), "int4 g128 asymmetric, uint8 scales");
  EXPECT_EQ(grid_of("{format: ternary}").text(), "ternary per tensor by absmean");
  EXPECT_EQ(grid_of("{format: offset, bits: 3, group: 64}").text(), "int3 g64 real zero");
  EXPECT_EQ(grid_of("{format: nf4, nested_bits: 8, nested_run: 64}").text(), "nf4 g64, scales nested in 8 bits x 64");
}

TEST(NumberFormat, IsEchoedSoThatDecodingGivesItAgain) {
  for (const std::string& name : format_names()) {
    GridOptions options;
    ConfigProblems problems;
    decode_fields(ConfigNode::parse("{format: " + name + "}", "x.yaml"), options, problems);
    GridOptions again;
    decode_fields(echo_fields(options), again, problems);
    problems.throw_if_any();
    EXPECT_EQ(again.spec(), options.spec()) << name;
  }
  EXPECT_EQ(grid_of("{format: nf4, group: 128}").group, 128);
}

TEST(NumberFormat, RefusesWhatContradictsIt) {
  EXPECT_EQ(problem_of("{format: mxfp4, group: 64}"),
            "x.yaml:1:1: format mxfp4 has groups of 32, not 64; leave 'group' out");
  EXPECT_EQ(problem_of("{format: nvfp4, scale: float16}"),
            "x.yaml:1:1: format nvfp4 has scales of type e4m3, not float16; leave 'scale' out");
  EXPECT_EQ(problem_of("{format: nf4, bits: 3}"), "x.yaml:1:1: grid: codebook 'nf4' has 4 bits, not 3");
  EXPECT_EQ(problem_of("{format: nf4, symmetry: sym_offset}"),
            "x.yaml:1:1: 'symmetry' is for format integer; leave it out with format nf4");
  EXPECT_THAT(problem_of("{scale_rule: absmean}"), HasSubstr("scale rule absmean is for codebooks"));
  EXPECT_THAT(problem_of("{format: nf4, scale_rule: floor}"), HasSubstr("needs a floating-point codebook"));
  EXPECT_THAT(problem_of("{format: offset, scale: e4m3}"), HasSubstr("no real zeros"));
  EXPECT_THAT(problem_of("{scale: e8m0, nested_bits: 4}"), HasSubstr("scales of e8m0 cannot be nested"));
  EXPECT_THAT(problem_of("{group: 0, nested_bits: 4}"), HasSubstr("scales of a whole tensor cannot be nested"));
  for (const char* other : {"format: offset", "bits: 5", "group: 0", "nested_bits: 4", "symmetry: sym_full_signed"}) {
    EXPECT_THAT(problem_of(fmt::format("{{scale: uint8, {}}}", other)),
                HasSubstr("scale type uint8 is for integer codes of 2 to 4 bits with positive scales"));
  }
  EXPECT_THAT(problem_of("{nested_bits: 1}"), HasSubstr("expected 2 to 8 bits"));
}

// QServe's two levels: what codes stand for are signed bytes times one number of the row, of which 119 reach its
// largest weight. A whole scale is within half that number of the range's share, and a zero within 1.5 steps of the
// range's.
TEST(NumberFormat, GivesScalesOfTwoLevelsBytesOfOneNumberARow) {
  constexpr std::size_t kColumns = 400;
  const at::Tensor weight = random_matrix(24, kColumns);
  for (const char* text : {"{scale: uint8, group: 32}", "{scale: uint8, bits: 3, group: 64}",
                           "{scale: uint8, group: -1, symmetry: sym_offset}"}) {
    const QuantizedWeight quantized = quantize_to_nearest(weight, grid_of(text));
    quantized.check("layer");
    const auto top = static_cast<float>((1 << quantized.grid.bits) - 1);
    const auto group_of = quantized.column_groups();
    const at::Tensor decoded = quantized.dequantize();
    for (std::size_t row = 0; row < 24; ++row) {
      const auto original = values_of<float>(weight).subspan(row * kColumns, kColumns);
      float largest = 0.0F;
      for (const float value : original) largest = std::max(largest, std::abs(value));
      const float number = bfloat16_to_float(float_to_bfloat16(largest / 119.0F));
      for (std::size_t i = 0; i < kColumns; ++i) {
        const float scale =
            values_of<float>(quantized.scales)[row * static_cast<std::size_t>(quantized.scales.size(1)) +
                                               static_cast<std::size_t>(group_of[i])];
        EXPECT_EQ(std::nearbyint(scale / number) * number, scale) << text;
        const float value = values_of<float>(decoded)[row * kColumns + i];
        const float steps = value / number;
        EXPECT_EQ(steps, std::nearbyint(steps)) << text;
        EXPECT_TRUE(steps >= -128.0F && steps <= 127.0F) << text << ": " << steps;
        EXPECT_LE(std::abs(value - original[i]), 1.001F * (1.5F * scale + top / 2.0F * number)) << text;
      }
    }
  }
}

TEST(NumberFormat, RoundsEveryWeightToTheNearestOfItsNumbers) {
  const at::Tensor weight = random_matrix(6, 75);
  for (const std::string& name : format_names()) {
    const QuantizedWeight quantized = quantize_to_nearest(weight, grid_of("{format: " + name + "}"));
    ASSERT_NO_THROW(quantized.check(name));
    const at::Tensor dequantized = quantized.dequantize();
    const auto groups = quantized.column_groups();
    const bool table = quantized.grid.kind == GridKind::kCodebook;
    for (std::size_t i = 0; i < 6 * 75; ++i) {
      const std::size_t place =
          i / 75 * static_cast<std::size_t>(quantized.scales.size(1)) + static_cast<std::size_t>(groups[i % 75]);
      const float scale = values_of<float>(quantized.scales)[place];
      const float value = values_of<float>(weight)[i];
      float least = INFINITY;
      for (int code = 0; code < 1 << quantized.grid.bits; ++code) {
        const float number = table ? find_codebook(quantized.grid.codebook).table[static_cast<std::size_t>(code)]
                                   : static_cast<float>(code) - values_of<float>(quantized.zeros)[place];
        if (!std::isnan(number)) least = std::min(least, std::abs(scale * number - value));
      }
      // Quotient and product round once each, and each by at most 2^-24 of the value.
      EXPECT_LE(std::abs(values_of<float>(dequantized)[i] - value), least + 0x1p-22F * std::abs(value)) << name << i;
    }
  }
}

TEST(NumberFormat, GivesMicroscalingGroupsThePowerOfTwoOfItsDefinition) {
  // OCP Microscaling formats 1.0, 6.3: the largest power of two in the group over that in the format.
  const std::vector<std::pair<std::string, int>> formats = {{"mxfp4", 2},      {"mxfp6_e2m3", 2},  {"mxfp6_e3m2", 4},
                                                            {"mxfp8_e4m3", 8}, {"mxfp8_e5m2", 15}, {"mxint8", 0}};
  for (const auto& [name, exponent] : formats) {
    for (const float largest : {1.0F, 1.99F, 2.0F, 7.0F, 0.3F}) {
      at::Tensor weight = make_zeros({1, 32}, DType::kFloat32);
      mutable_values_of<float>(weight)[3] = -largest;
      const QuantizedWeight quantized = quantize_to_nearest(weight, grid_of("{format: " + name + "}"));
      EXPECT_EQ(values_of<float>(quantized.scales)[0], std::exp2(std::floor(std::log2(largest)) - exponent)) << name;
    }
  }
}

TEST(NumberFormat, ClipsWhatAPowerOfTwoCannotReach) {
  at::Tensor weight = make_zeros({1, 32}, DType::kFloat32);
  mutable_values_of<float>(weight)[0] = 7.9F;  // the scale is 1, the format's largest number 6
  EXPECT_EQ(quantize_to_nearest(weight, grid_of("{format: mxfp4}")).dequantize().max().item<float>(), 6.0F);
  EXPECT_EQ(quantize_to_nearest(weight, grid_of("{format: mxfp4, scale_rule: even}")).dequantize().max().item<float>(),
            8.0F);
}

TEST(NumberFormat, ScalesTernaryByTheMeanMagnitude) {
  const std::vector<float> values = {0.5F, -1.0F, 0.1F, 0.4F};
  const at::Tensor weight = tensor_of(std::span<const float>(values)).view({1, 4});
  const QuantizedWeight quantized = quantize_to_nearest(weight, grid_of("{format: ternary, scale: float32}"));
  EXPECT_EQ(values_of<float>(quantized.scales)[0], 0.5F);
  const at::Tensor dequantized = quantized.dequantize();
  EXPECT_THAT(values_of<float>(dequantized), ::testing::ElementsAre(0.5F, -0.5F, 0.0F, 0.5F));
}

TEST(NumberFormat, CoversOffsetRangesThatDoNotHoldZero) {
  // 4 .. 5 in four steps of 1/3, far better than the range 0 .. 5 would give.
  const std::vector<float> values = {4.0F, 5.0F, 4.5F, 4.3F, 4.7F, 4.9F};
  const at::Tensor weight = tensor_of(std::span<const float>(values)).view({1, 6});
  const GridSpec grid = grid_of("{format: offset, bits: 2, group: -1, scale: float32}");
  const at::Tensor error = quantize_to_nearest(weight, grid).dequantize().sub(weight).abs();
  EXPECT_LE(error.max().item<float>(), 2.5F / 6.0F);  // widened to 2.5 .. 5, as far from 0 as it is wide
  EXPECT_TRUE(quantize_to_nearest(weight.neg(), grid)
                  .dequantize()
                  .neg()
                  .allclose(quantize_to_nearest(weight, grid).dequantize(), 0, 1e-6));
}

TEST(NumberFormat, KeepsConstantGroups) {
  for (const double value : {3.0, -0.25}) {
    const at::Tensor weight = make_full({2, 32}, value, DType::kFloat32);
    for (const char* name : {"offset", "nf4", "e4m3", "e5m2", "nvfp4"}) {
      const at::Tensor found = quantize_to_nearest(weight, grid_of("{format: " + std::string(name) + "}")).dequantize();
      // float16 scales keep 11 bits.
      EXPECT_TRUE(found.allclose(weight, 1e-3, 0)) << name;
    }
  }
}

TEST(NestedScales, StandForScalesWithinHalfAStepAndStayPositive) {
  const at::Tensor weight = random_matrix(40, 64) * 0.05;
  for (const char* format : {"integer", "offset", "nf4"}) {
    const std::string options = "{format: " + std::string(format) + ", group: 16, scale: float32";
    const QuantizedWeight plain = quantize_to_nearest(weight, grid_of(options + "}"));
    const QuantizedWeight nested = quantize_to_nearest(weight, grid_of(options + ", nested_bits: 4}"));
    ASSERT_NO_THROW(nested.check("layer"));
    ASSERT_TRUE(nested.nested_scales.has_value());
    EXPECT_EQ(nested.nested_zeros.has_value(), std::string(format) == "offset");
    EXPECT_GT(nested.scales.min().item<float>(), 0.0F);
    for (std::int64_t row = 0; row < 40; row += 16) {
      const at::Tensor a = plain.scales.slice(0, row, row + 16);
      const at::Tensor step = (std::get<0>(a.max(0)) - std::get<0>(a.min(0))) / 15.0;
      const at::Tensor off = (nested.scales.slice(0, row, row + 16) - a).abs();
      EXPECT_TRUE((off - step * 0.5).max().item<float>() <= 1e-6F) << format;
    }
    EXPECT_LT(nested.stored_bits(), plain.stored_bits()) << format;
  }
}

TEST(NestedScales, AreNotWidenedByGroupsWithoutAWeight) {
  at::Tensor weight = random_matrix(16, 16) * 0.01;
  const GridSpec grid = grid_of("{format: offset, bits: 3, group: 16, nested_bits: 3}");
  weight.select(0, 4).zero_();
  const at::Tensor found = quantize_to_nearest(weight, grid).dequantize();
  // A step of the widest row's grid, rounded by an eighth, and as much again for the zero.
  const double step = weight.abs().max().item<double>() * 2 / 7;
  EXPECT_LE((found - weight).abs().max().item<double>(), step);
  EXPECT_LE(found.select(0, 4).abs().max().item<double>(), step / 2);
}

TEST(NumberFormat, HoldsZerosWhereNothingElseIs) {
  for (const std::string& name : format_names()) {
    const QuantizedWeight found =
        quantize_to_nearest(make_zeros({3, 40}, DType::kFloat32), grid_of("{format: " + name + "}"));
    EXPECT_EQ(found.dequantize().abs().max().item<float>(), 0.0F) << name;
  }
}

TEST(NestedScales, KeepConstantScalesAndTinyOnes) {
  std::vector<float> values(20, 0.125F);
  GridSpec grid = grid_of("{nested_bits: 3}");
  (void)nest_values(values, grid);
  EXPECT_THAT(values, ::testing::Each(0.125F));
  values = {1.0F, 1e-7F};
  (void)nest_values(values, grid);
  EXPECT_GT(values[1], 0.0F);
  values = {0.0F, 0.0F};
  (void)nest_values(values, grid);
  EXPECT_THAT(values, ::testing::Each(0.0F));
}

TEST(BindGrid, IsNeededByPartsOfAWeightWithE4m3Scales) {
  const at::Tensor weight = random_matrix(4, 32);
  const GridSpec grid = grid_of("{format: nvfp4}");
  try {
    (void)fit_min_max(weight, grid);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "a grid with e4m3 scales is not bound to a weight");
  }
  const GroupParameters part = fit_min_max(weight.slice(1, 16, 32).contiguous(), bind_grid(grid, weight));
  EXPECT_TRUE(part.scales.equal(quantize_to_nearest(weight, grid).scales.select(1, 1)));
}

}  // namespace
}  // namespace lowbit
