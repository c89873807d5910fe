#include "lowbit/formats/quantized_weight.h"

#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/formats/packing.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {
namespace {

using testing::HasSubstr;

at::Tensor floats(const std::vector<float>& values, const Shape& shape) {
  return tensor_of(std::span<const float>(values)).view(shape);
}
at::Tensor integers(const std::vector<std::int32_t>& values) {
  return tensor_of(std::span<const std::int32_t>(values));
}
at::Tensor bytes(const std::vector<std::int32_t>& values, const Shape& shape) {
  return to_dtype(integers(values), DType::kUInt8).view(shape);
}

// Two rows of three columns in groups of two; every number is chosen by hand.
QuantizedWeight by_hand() {
  QuantizedWeight weight;
  weight.grid = {GridKind::kInteger, 3, Symmetry::kAsymmetric, "", 2, ScaleType::kFloat16};
  weight.codes = bytes({0, 7, 3, 5, 2, 1}, {2, 3});
  weight.scales = floats({0.5F, 2.0F, 1.0F, 0.25F}, {2, 2});
  weight.zeros = floats({4.0F, 0.0F, 2.0F, 7.0F}, {2, 2});
  return weight;
}

NestedScales nested_by_hand() {
  NestedScales nested;  // five rows in runs of two, one group
  nested.codes = bytes({0, 1, 2, 3, 3}, {5, 1});
  nested.scales = floats({0.5F, 1.0F, 2.0F}, {3, 1});
  nested.zeros = floats({0.5F, -1.0F, 0.0F}, {3, 1});
  nested.bits = 2;
  nested.run = 2;
  return nested;
}

QuantizedWeight with_nested_scales() {
  QuantizedWeight weight;
  weight.grid = {GridKind::kOffset, 4, Symmetry::kAsymmetric, "", -1, ScaleType::kFloat16};
  weight.codes = make_full({5, 4}, 3, DType::kUInt8);
  weight.nested_scales = nested_by_hand();
  weight.scales = weight.nested_scales->dequantize();
  weight.zeros = make_full({5, 1}, 1.5, DType::kFloat32);
  return weight;
}

std::string problem_of(const QuantizedWeight& weight) {
  try {
    weight.check("layer");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(QuantizedWeight, DequantizesByItsDefinition) {
  const QuantizedWeight weight = by_hand();
  EXPECT_TRUE(weight.dequantize().equal(floats({-2.0F, 1.5F, 6.0F, 3.0F, 0.0F, -1.5F}, {2, 3})));
  EXPECT_EQ(problem_of(weight), "no error");
}

TEST(QuantizedWeight, FollowsItsGroupIndex) {
  QuantizedWeight weight = by_hand();
  weight.group_index = integers({1, 0, 0});
  // Columns 0, 1, 2 take groups 1, 0, 0.
  EXPECT_TRUE(weight.dequantize().equal(floats({0.0F, 1.5F, -0.5F, -0.5F, 0.0F, -1.0F}, {2, 3})));
  EXPECT_FALSE(weight.natural_groups());
  weight.group_index = integers({0, 0, 1});
  EXPECT_TRUE(weight.natural_groups());
}

TEST(QuantizedWeight, PutsOutliersInPlaceOfCodes) {
  QuantizedWeight weight = by_hand();
  weight.outliers = {integers({0, 1}), integers({2, 0}), floats({100.0F, -0.5F}, {2})};
  EXPECT_TRUE(weight.dequantize().equal(floats({-2.0F, 1.5F, 100.0F, -0.5F, 0.0F, -1.5F}, {2, 3})));
  EXPECT_EQ(problem_of(weight), "no error");
}

TEST(QuantizedWeight, LooksCodebookEntriesUp) {
  QuantizedWeight weight;
  weight.grid = {GridKind::kCodebook, 4, Symmetry::kAsymmetric, "e2m1", -1, ScaleType::kFloat16};
  weight.codes = bytes({1, 15, 7, 8}, {2, 2});
  weight.scales = floats({2.0F, 0.5F}, {2, 1});
  EXPECT_TRUE(weight.dequantize().equal(floats({1.0F, -12.0F, 3.0F, 0.0F}, {2, 2})));
  EXPECT_EQ(problem_of(weight), "no error");
}

TEST(NestedScales, StandForOneRunOfRowsEach) {
  EXPECT_TRUE(nested_by_hand().dequantize().equal(floats({-0.25F, 0.25F, 3.0F, 4.0F, 6.0F}, {5, 1})));
  EXPECT_EQ(problem_of(with_nested_scales()), "no error");
}

TEST(QuantizedWeight, CountsTheBitsItStores) {
  // Two rows of 3 codes of 3 bits: a word each. Two zero streams of 2 * 3 bits: a word each. Four float16 scales.
  QuantizedWeight weight = by_hand();
  EXPECT_EQ(weight.stored_bits(), 2 * 32 + 2 * 32 + 4 * 16);
  weight.group_index = integers({0, 0, 1});
  EXPECT_EQ(weight.stored_bits(), 2 * 32 + 2 * 32 + 4 * 16) << "natural groups need no index";
  weight.group_index = integers({1, 0, 0});
  EXPECT_EQ(weight.stored_bits(), 2 * 32 + 2 * 32 + 4 * 16 + 3 * 32);
  weight.outliers = {integers({0}), integers({2}), floats({100.0F}, {1})};
  EXPECT_EQ(weight.stored_bits(), 2 * 32 + 2 * 32 + 4 * 16 + 3 * 32 + 3 * 32 + 16 + 16);
}

TEST(QuantizedWeight, CountsPublishedBitsPerWeight) {
  // 4 bits, groups of 128 of float16 scales: 4 + 16 / 128 symmetric, and 4 / 128 more with zeros.
  GridSpec grid{GridKind::kInteger, 4, Symmetry::kSymOffset, "", 128, ScaleType::kFloat16};
  const at::Tensor weight = make_zeros({64, 256}, DType::kFloat32);
  EXPECT_DOUBLE_EQ(static_cast<double>(quantize_to_nearest(weight, grid).stored_bits()) / (64 * 256), 4.125);
  grid.symmetry = Symmetry::kAsymmetric;
  EXPECT_DOUBLE_EQ(static_cast<double>(quantize_to_nearest(weight, grid).stored_bits()) / (64 * 256), 4.15625);
  grid.group = 0;  // one scale and a byte for the zero
  EXPECT_EQ(quantize_to_nearest(weight, grid).stored_bits(), 64 * 256 * 4 + 16 + 8);
}

TEST(QuantizedWeight, CountsMixedAndNestedBits) {
  QuantizedWeight weight = by_hand();
  weight.codes = bytes({0, 1, 3, 1, 0, 1}, {2, 3});
  weight.zeros = floats({1.0F, 0.0F, 0.0F, 7.0F}, {2, 2});
  weight.group_bits = bytes({1, 3}, {2});
  EXPECT_EQ(problem_of(weight), "no error");
  EXPECT_EQ(weight.stored_bits(), 2 * 32 + 4 * 16 + 4 * 8 + 2 * 8);
  // Five rows of 4 codes of 4 bits; five rows of nested codes, a word each; 3 runs; five real zeros.
  EXPECT_EQ(with_nested_scales().stored_bits(), 5 * 32 + 5 * 32 + 3 * 64 + 5 * 16);
}

TEST(QuantizedWeight, HashesEveryField) {
  const std::vector<std::function<void(QuantizedWeight&)>> changes = {
      [](QuantizedWeight& w) { w.grid.symmetry = Symmetry::kSymOffset; },
      [](QuantizedWeight& w) {
        w.codes = bytes({0, 7, 3, 5, 2, 0}, {2, 3});
      },
      [](QuantizedWeight& w) { w.scales = w.scales.mul(2.0); },
      [](QuantizedWeight& w) { w.zeros = w.zeros.neg(); },
      [](QuantizedWeight& w) {
        w.group_index = integers({0, 0, 1});
      },
      [](QuantizedWeight& w) {
        w.group_bits = bytes({3, 3}, {2});
      },
      [](QuantizedWeight& w) {
        w.outliers = {integers({0}), integers({0}), floats({1.0F}, {1})};
      },
      [](QuantizedWeight& w) { w.nested_scales = nested_by_hand(); },
      [](QuantizedWeight& w) { w.nested_zeros = nested_by_hand(); },
      [](QuantizedWeight& w) {
        w.rotations = {{RotationTag::Side::kInput, "hadamard", 4}};
      },
      [](QuantizedWeight&) {},
  };
  std::vector<Hash> hashes;
  for (const auto& change : changes) {
    QuantizedWeight weight = by_hand();
    change(weight);
    hashes.push_back(weight.content_hash());
  }
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(hashes[i], hashes[j]) << i << ' ' << j;
  }
  EXPECT_EQ(by_hand().content_hash(), hashes.back());
}

// What makes a weight wrong, and what is said of it.
std::vector<std::pair<std::function<void(QuantizedWeight&)>, std::string>> faults() {
  return {
      {[](auto& w) { w.scales = w.scales.select(0, 0).contiguous(); }, "layer: scales are missing or not a matrix"},
      {[](auto& w) { w.scales = w.scales.narrow(1, 0, 1).contiguous(); },
       "layer: scales are float32 [2, 1], expected float32 [2, 2]"},
      {[](auto& w) { w.scales.fill_(std::numeric_limits<float>::infinity()); }, "layer: scales hold inf at position 0"},
      {[](auto& w) { w.scales.fill_(0.1F); }, "which type float16 cannot store"},
      {[](auto& w) { w.zeros = at::Tensor(); }, "layer: zeros are missing"},
      {[](auto& w) { w.zeros.fill_(8.0F); },
       "layer: zero 8 at position 0 does not belong to the grid int3 g2 asymmetric"},
      {[](auto& w) { w.zeros.fill_(1.5F); }, "layer: zero 1.5 at position 0 does not belong"},
      {[](auto& w) {
         w.grid.symmetry = Symmetry::kSymOffset;
         w.zeros.fill_(3.0F);
       },
       "does not belong to the grid int3 g2 sym_offset"},
      {[](auto& w) { w.codes.fill_(8); }, "layer: code 8 at row 0, column 0 is not on the grid"},
      {[](auto& w) {
         w.group_index = integers({0, 2, 1});
       },
       "layer: group index 2 is outside 0 .. 1"},
      {[](auto& w) {
         w.group_index = integers({0, 1});
       },
       "layer: group indices are int32 [2], expected int32 [3]"},
      {[](auto& w) {
         w.group_bits = bytes({3, 9}, {2});
       },
       "layer: a group has 9 bits, expected 1 to 8"},
      {[](auto& w) {
         w.group_bits = bytes({2, 3}, {2});
         w.zeros.zero_();
       },
       "layer: code 7 at row 0, column 1 is not on"},
      {[](auto& w) {
         w.outliers = {integers({0}), integers({3}), floats({1.0F}, {1})};
       },
       "layer: outlier 0 at row 0, column 3 is outside [2, 3]"},
      {[](auto& w) {
         w.outliers = {integers({1, 0}), integers({0, 0}), floats({1.0F, 1.0F}, {2})};
       },
       "layer: outlier 1 at row 0, column 0 is out of order"},
      {[](auto& w) {
         w.outliers = {integers({1}), integers({0}), floats({0.1F}, {1})};
       },
       "layer: outliers hold 0.1"},
      {[](auto& w) { w.nested_scales = nested_by_hand(); },
       "layer: codes of nested scales are uint8 [5, 1], expected uint8 [2, 2]"},
      {[](auto& w) {
         w = with_nested_scales();
         w.scales.fill_(1.0F);
       },
       "layer: scales differ from what the nested codes stand for"},
      {[](auto& w) {
         w = with_nested_scales();
         w.nested_scales->run = 0;
       },
       "runs of 0 rows"},
      {[](auto& w) { w.grid.bits = 1; }, "layer: grid: 1 bits, expected 2 to 8"},
  };
}

TEST(QuantizedWeight, NamesWhatIsWrongWithIt) {
  for (const auto& [change, expected] : faults()) {
    QuantizedWeight weight = by_hand();
    change(weight);
    EXPECT_THAT(problem_of(weight), HasSubstr(expected));
  }
}

TEST(GridOptions, DecodeAllConventions) {
  GridOptions options;
  ConfigProblems problems;
  decode_fields(ConfigNode::parse("{bits: 3, group: -1, symmetry: sym_full_signed, scale: bfloat16}", "x.yaml"),
                options, problems);
  EXPECT_TRUE(problems.empty());
  EXPECT_EQ(options.spec().text(), "int3 per channel sym_full_signed, bfloat16 scales");
}

}  // namespace
}  // namespace lowbit
