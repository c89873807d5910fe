#include "lowbit/tensor/packed.h"

#include <gtest/gtest.h>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "support/error_text.h"
#include "tensor/float_panels.h"
#include "tensor_cases.h"

namespace lowbit {
namespace {

using kernels::Arithmetic;
using kernels::PackedWeight;
using testing::random_tensor;

// 4-bit codes with a scale of 1/16 and zero 8 everywhere, beside what they stand for.
struct Weight {
  PackedWeight packed;
  at::Tensor dense;
};

Weight make_weight(std::int64_t rows, std::int64_t columns) {
  std::vector<std::uint8_t> codes;
  std::vector<float> numbers;
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    codes.push_back(static_cast<std::uint8_t>(i * 7 % 16));
    numbers.push_back((static_cast<float>(codes.back()) - 8.0F) / 16.0F);
  }
  const std::vector<float> scales(static_cast<std::size_t>(rows), 1.0F / 16.0F);
  const std::vector<float> zeros(static_cast<std::size_t>(rows), 8.0F);
  kernels::CanonicalWeight weight;
  weight.rows = rows;
  weight.columns = columns;
  weight.groups = 1;
  weight.group = columns;
  weight.codes = codes;
  weight.scales = scales;
  weight.zeros = zeros;
  return {PackedWeight::pack(weight, pool_executor()), tensor_of(numbers).view({rows, columns})};
}

TEST(PackedLinear, MultipliesWithWhatTheCodesStandFor) {
  const Weight weight = make_weight(50, 100);
  const at::Tensor x = random_tensor({2, 3, 100}, DType::kFloat32, "x");
  const at::Tensor bias = random_tensor({50}, DType::kFloat32, "bias");
  const at::Tensor inputs = x.to(at::kDouble);
  const at::Tensor numbers = weight.dense.to(at::kDouble);
  const at::Tensor exact = inputs.matmul(numbers.t()).add(bias);
  // A rounding a column and one for the bias; for kInt16 besides half a unit of 1 / 32639 of the largest activation.
  const at::Tensor magnitude = inputs.abs().matmul(numbers.abs().t()).add(bias.abs());
  const at::Tensor roundings = magnitude.mul(101 * 0x1p-24);
  const at::Tensor half_units = inputs.abs().amax(-1, true).mul(0.51 / 32639.0).mul(numbers.abs().sum(1));
  const at::Tensor floats = packed_linear(x, weight.packed, bias, Arithmetic::kFloat32);
  const at::Tensor words = packed_linear(x, weight.packed, bias, Arithmetic::kInt16);
  EXPECT_EQ(shape_of(floats), (Shape{2, 3, 50}));
  EXPECT_TRUE(floats.sub(exact).abs().le(roundings).all().item<bool>());
  EXPECT_TRUE(words.sub(exact).abs().le(roundings.add(half_units)).all().item<bool>());
}

// On the processors whose float32 products are chains of fused multiply-adds (docs/architecture.md), packed weights
// give the bits of decoded ones. A single token there takes LibTorch's product of a matrix and a vector instead.
TEST(PackedLinear, InFloat32GivesTheBitsOfTheDecodedWeight) {
  if (!float_panels_available()) GTEST_SKIP() << "the processor lacks AVX2";
  const Weight weight = make_weight(192, 576);
  const at::Tensor bias = random_tensor({192}, DType::kFloat32, "bias");
  for (const std::int64_t tokens : {2, 5, 64}) {
    const at::Tensor x = random_tensor({tokens, 576}, DType::kFloat32, "x");
    EXPECT_TRUE(packed_linear(x, weight.packed, bias, Arithmetic::kFloat32).equal(linear(x, weight.dense, bias, true)));
    EXPECT_TRUE(packed_linear(x, weight.packed, {}, Arithmetic::kFloat32).equal(linear(x, weight.dense, {}, true)));
  }
}

TEST(PackedLinear, KeepsTheTypeOfItsInput) {
  const Weight weight = make_weight(16, 64);
  const at::Tensor x = random_tensor({3, 64}, DType::kBFloat16, "x");
  const at::Tensor result = packed_linear(x, weight.packed, {}, Arithmetic::kInt16);
  const at::Tensor floats = packed_linear(to_dtype(x, DType::kFloat32), weight.packed, {}, Arithmetic::kInt16);
  EXPECT_EQ(dtype_of(result), DType::kBFloat16);
  EXPECT_TRUE(result.equal(to_dtype(floats, DType::kBFloat16)));
}

TEST(PackedLinear, RefusesAnInputOfAnotherWidth) {
  const Weight weight = make_weight(16, 64);
  EXPECT_EQ(testing::error_text(
                ErrorCode::kInternal,
                [&] {
                  (void)packed_linear(make_zeros({2, 63}, DType::kFloat32), weight.packed, {}, Arithmetic::kInt8);
                }),
            "packed product: the input is [2, 63], expected [..., 64]");
}

TEST(PackedLinear, TakesNoTokens) {
  const Weight weight = make_weight(16, 64);
  const at::Tensor none = make_zeros({0, 64}, DType::kFloat32);
  EXPECT_EQ(shape_of(packed_linear(none, weight.packed, {}, Arithmetic::kInt8)), (Shape{0, 16}));
}

}  // namespace
}  // namespace lowbit
