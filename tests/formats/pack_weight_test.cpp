#include "lowbit/formats/pack_weight.h"

#include <gtest/gtest.h>

#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/packed.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

at::Tensor random_weight(std::int64_t rows, std::int64_t columns) {
  const Random random(5, "formats/pack_weight_test");
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(0.05 * random.normal(i));
  return tensor_of(values).view({rows, columns});
}

// A product with the unit vectors is the matrix itself: each number is one product with 1 and additions of 0.
void expect_dequantized(const QuantizedWeight& weight) {
  const at::Tensor unit = make_eye(weight.columns(), DType::kFloat32);
  const at::Tensor decoded = packed_linear(unit, pack_weight(weight), {}, kernels::Arithmetic::kFloat32).t();
  EXPECT_TRUE(decoded.equal(weight.dequantize())) << weight.grid.text();
}

TEST(PackWeight, MultipliesWithWhatTheWeightDequantizesTo) {
  const at::Tensor weight = random_weight(40, 200);
  for (const NumberFormat format :
       {NumberFormat::kInteger, NumberFormat::kOffset, NumberFormat::kNf4, NumberFormat::kE2m1, NumberFormat::kE4m3,
        NumberFormat::kTernary, NumberFormat::kMxfp4, NumberFormat::kMxfp8E4m3, NumberFormat::kMxint8,
        NumberFormat::kNvfp4}) {
    expect_dequantized(quantize_to_nearest(weight, GridOptions::of(format).spec()));
  }
  for (const int bits : {2, 3, 4, 5, 8}) {
    for (const std::int64_t group : {-1, 0, 64}) {
      for (const Symmetry symmetry : {Symmetry::kAsymmetric, Symmetry::kSymOffset, Symmetry::kSymFullSigned}) {
        GridOptions options;
        options.bits = bits;
        options.group = group;
        options.symmetry = symmetry;
        expect_dequantized(quantize_to_nearest(weight, options.spec()));
      }
    }
  }
}

TEST(PackWeight, KeepsScalesOfTwoLevels) {
  for (const int bits : {2, 3, 4}) {
    for (const std::int64_t group : {-1, 32, 64}) {
      for (const Symmetry symmetry : {Symmetry::kAsymmetric, Symmetry::kSymOffset, Symmetry::kSymRestricted}) {
        GridOptions options;
        options.bits = bits;
        options.group = group;
        options.symmetry = symmetry;
        options.scale = ScaleType::kUint8;
        const QuantizedWeight weight = quantize_to_nearest(random_weight(40, 200), options.spec());
        weight.check("layer");
        EXPECT_EQ(pack_weight(weight).unpack().shape.scale_storage, kernels::ScaleStorage::kUint8);
        expect_dequantized(weight);
      }
    }
  }
}

TEST(PackWeight, KeepsNestedScalesMovedGroupsAndOutliers) {
  GridOptions options;
  options.group = 64;
  options.nested_bits = 6;
  QuantizedWeight weight = quantize_to_nearest(random_weight(40, 200), options.spec());
  expect_dequantized(weight);
  std::vector<std::int32_t> groups;
  for (std::int32_t column = 0; column < 200; ++column) groups.push_back(column * 7 % 4);
  weight.group_index = tensor_of(groups);
  const std::vector<std::int32_t> rows = {0, 0, 39};
  const std::vector<std::int32_t> columns = {3, 199, 0};
  const std::vector<float> values = {1.5F, -2.0F, 0.25F};
  weight.outliers = {tensor_of(rows), tensor_of(columns), tensor_of(values)};
  expect_dequantized(weight);
}

TEST(PackWeight, RefusesARotatedWeight) {
  QuantizedWeight weight = quantize_to_nearest(random_weight(16, 64), GridOptions{}.spec());
  weight.rotations.push_back({RotationTag::Side::kInput, "hadamard", 64});
  EXPECT_EQ(testing::error_text(ErrorCode::kUnsupported, [&] { (void)pack_weight(weight); }),
            "packing: the weight is rotated by 'hadamard', and packed products rotate no input");
}

}  // namespace
}  // namespace lowbit
