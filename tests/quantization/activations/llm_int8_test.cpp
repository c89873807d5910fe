#include "quantization/activations/llm_int8.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"
#include "quantization/activations/input_rounding.h"

namespace lowbit {
namespace {

at::Tensor input_with_outliers(std::int64_t tokens, std::int64_t channels) {
  const Random random(3, "outliers");
  std::vector<float> values;
  for (std::int64_t i = 0; i < tokens * channels; ++i) {
    values.push_back(static_cast<float>(random.normal(static_cast<std::uint64_t>(i))));
  }
  at::Tensor x = tensor_of(std::span<const float>(values)).view({1, tokens, channels});
  x.select(2, 4).mul_(20);                 // a column of outliers
  x.select(1, 2).select(1, 7).fill_(9.5);  // a single one
  return x;
}

// Both products of the paper with whole numbers, in float64.
at::Tensor by_the_paper(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& outlier) {
  const at::Tensor apart = x.mul(outlier);
  const at::Tensor rest = x.sub(apart);
  const at::Tensor row_scale = rest.abs().amax({-1}, true).div(127);
  const at::Tensor codes = to_dtype(rest.div(row_scale).round(), DType::kInt64);
  const at::Tensor column_scale = weight.abs().amax({1}, true).div(127);
  const at::Tensor weight_codes = to_dtype(weight.div(column_scale).round(), DType::kInt64);
  const at::Tensor products = to_dtype(codes.matmul(weight_codes.t()), DType::kFloat64);
  const at::Tensor small = products.mul(row_scale).mul(column_scale.t());
  const at::Tensor dense = to_dtype(weight_codes, DType::kFloat64).mul(column_scale);
  return small + to_dtype(apart, DType::kFloat64).matmul(dense.t());
}

std::shared_ptr<const LinearExecution> execution(const LlmInt8Options& options) {
  return LlmInt8Step(options).make({}, nullptr);
}

TEST(LlmInt8, IsTheSumOfBothProductsOfThePaper) {
  const at::Tensor x = input_with_outliers(5, 16).select(0, 0);
  const at::Tensor weight = input_with_outliers(8, 16).select(0, 0).div(20);
  GridSpec grid;
  grid.bits = 8;
  grid.group = -1;
  grid.symmetry = Symmetry::kSymRestricted;
  grid.scale_type = ScaleType::kFloat32;
  const auto product = make_float_linear(quantize_to_nearest(weight, grid).dequantize(), {});
  const at::Tensor outlier = to_dtype(x.abs().gt(6).any(0, true), DType::kFloat32);
  EXPECT_EQ(outlier.sum().item<double>(), 2);
  const at::Tensor expected = by_the_paper(x, weight, outlier);
  const at::Tensor found = to_dtype(execution({})->run(x, *product, true), DType::kFloat64);
  // 16 products of numbers below 60 and 4 in float32.
  EXPECT_LT((found - expected).abs().max().item<double>(), 16 * 60 * 4 * std::ldexp(1.0, -23));
}

TEST(LlmInt8, WithoutOutliersIsRoundingPerToken) {
  const at::Tensor x = input_with_outliers(5, 16);
  LlmInt8Options options;
  options.threshold = 1e6;
  EXPECT_TRUE(decompose_input(x, options).equal(round_input(x, ActivationScheme())));
}

TEST(LlmInt8, WithAThresholdOfZeroRoundsNothing) {
  const at::Tensor x = input_with_outliers(5, 16);
  LlmInt8Options options;
  options.threshold = 0;
  EXPECT_TRUE(decompose_input(x, options).equal(x));
}

TEST(LlmInt8, TakesAColumnOutForAllTokensOrForTheOutliersOwn) {
  const at::Tensor x = input_with_outliers(5, 16);
  LlmInt8Options options;
  const at::Tensor columns = decompose_input(x, options);
  EXPECT_TRUE(columns.select(2, 7).equal(x.select(2, 7)));
  options.columns = LlmInt8Options::Columns::kToken;
  const at::Tensor own = decompose_input(x, options);
  EXPECT_FALSE(own.select(2, 7).equal(x.select(2, 7)));
  EXPECT_EQ(own.select(1, 2).select(1, 7).item<float>(), 9.5F);
}

TEST(LlmInt8, OfASequenceDependsOnNoOtherSequence) {
  const at::Tensor x = input_with_outliers(5, 16);
  const at::Tensor calm = x.clamp(-1, 1);
  const at::Tensor both = decompose_input(concatenate({calm, x}, 0), {});
  EXPECT_TRUE(both.narrow(0, 0, 1).equal(decompose_input(calm, {})));
}

}  // namespace
}  // namespace lowbit
