// The float32 path is float32: numbers that bfloat16 (8 bits) and TF32 (11 bits) would round must come through.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {
namespace {

// Whole numbers below 2^12, odd ones among them, with at most 2^11 terms of which few are not zero: every partial sum
// is below 2^24 and exact in float32, while 12 bits are more than bfloat16 or TF32 hold.
at::Tensor twelve_bits(std::int64_t rows, std::int64_t columns, const std::string& stream, std::int64_t stride) {
  const Random random(5, stream);
  at::Tensor result = make_zeros({rows, columns}, DType::kFloat32);
  const std::span<float> values = mutable_values_of<float>(result);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (static_cast<std::int64_t>(i) % columns % stride != 0) continue;
    values[i] =
        static_cast<float>(2049 + 2 * random.below(i, 1023)) * (random.below(i + values.size(), 2) ? 1.F : -1.F);
  }
  return result;
}

at::Tensor signs(std::int64_t rows, std::int64_t columns) {
  const Random random(6, "signs");
  at::Tensor result = make_empty({rows, columns}, DType::kFloat32);
  std::uint64_t counter = 0;
  for (float& value : mutable_values_of<float>(result)) value = random.below(counter++, 2) != 0 ? 1.F : -1.F;
  return result;
}

at::Tensor exact_product(const at::Tensor& x, const at::Tensor& weight) {
  return to_dtype(x, DType::kFloat64).matmul(to_dtype(weight, DType::kFloat64).t());
}

TEST(Precision, OfProductsIsFloat32OnBothSides) {
  for (const std::int64_t tokens : {1, 3, 64, 130}) {
    for (const bool deterministic : {false, true}) {
      const at::Tensor wide = twelve_bits(tokens, 512, "x", 1);
      const at::Tensor small = signs(40, 512);
      const auto run = [&](const at::Tensor& x, const at::Tensor& weight) {
        return to_dtype(linear(x.unsqueeze(0), weight, {}, deterministic).select(0, 0), DType::kFloat64);
      };
      EXPECT_TRUE(run(wide, small).equal(exact_product(wide, small))) << tokens << deterministic;
      const at::Tensor inputs = signs(tokens, 512);
      const at::Tensor weights = twelve_bits(40, 512, "w", 1);
      EXPECT_TRUE(run(inputs, weights).equal(exact_product(inputs, weights))) << tokens << deterministic;
    }
  }
}

TEST(Precision, OfSecondMomentsIsFloat32) {
  // Each token lives in one channel.
  const at::Tensor x = twelve_bits(600, 24, "gram", 1) * make_eye(24, DType::kFloat32).repeat({25, 1});
  const at::Tensor expected = to_dtype(x, DType::kFloat64).t().matmul(to_dtype(x, DType::kFloat64));
  // A channel's 25 squares need 24 bits each and their sum 29: float32 rounds it at 2^-24, a few times.
  EXPECT_TRUE(gram(x).allclose(expected, 1e-6, 0));
  EXPECT_FALSE(
      to_dtype(to_dtype(x, DType::kBFloat16), DType::kFloat64).square().sum(0).allclose(expected.diagonal(), 1e-6, 0));
  const at::Tensor y = signs(600, 10);
  const at::Tensor cross = to_dtype(x, DType::kFloat64).t().matmul(to_dtype(y, DType::kFloat64));
  EXPECT_TRUE(cross_gram(x, y).equal(cross));
}

// The smallest change that float32 sees and bfloat16 and TF32 do not, in each operand of attention: a bfloat16 number
// times (1 + 2^-12) is rounded back to itself by both.
TEST(Precision, OfAttentionIsFloat32InEachOperand) {
  const auto numbers = [&](const std::string& name) {
    const Random stream(7, name);
    at::Tensor result = make_empty({1, 2, 9, 16}, DType::kFloat32);
    std::uint64_t counter = 0;
    for (float& value : mutable_values_of<float>(result)) value = static_cast<float>(stream.normal(counter++));
    return to_dtype(to_dtype(result, DType::kBFloat16), DType::kFloat32);
  };
  const at::Tensor q = numbers("q");
  const at::Tensor k = numbers("k");
  const at::Tensor v = numbers("v");
  const double finer = 1 + std::pow(2.0, -12);
  for (const at::Tensor& operand : {q, k, v}) {
    EXPECT_TRUE(to_dtype(to_dtype(operand * finer, DType::kBFloat16), DType::kFloat32).equal(operand));
  }
  for (const bool deterministic : {false, true}) {
    const at::Tensor plain = causal_attention(q, k, v, 0.25, 0, deterministic);
    EXPECT_TRUE(causal_attention(q, k, v * finer, 0.25, 0, deterministic).allclose(plain * finer, 1e-6, 1e-6));
    EXPECT_FALSE(causal_attention(q, k, v * finer, 0.25, 0, deterministic).equal(plain));
    // Only the product of q and k counts: making one finer equals making the other so.
    const at::Tensor fine_q = causal_attention(q * finer, k, v, 0.25, 0, deterministic);
    EXPECT_FALSE(fine_q.equal(plain));
    EXPECT_TRUE(fine_q.allclose(causal_attention(q, k * finer, v, 0.25, 0, deterministic), 1e-5, 1e-5));
    EXPECT_FALSE(causal_attention(q, k * finer, v, 0.25, 0, deterministic).equal(plain));
  }
}

TEST(Precision, OfNormsAndEmbeddingsIsFloat32) {
  const at::Tensor x = twelve_bits(3, 8, "norm", 1);
  const at::Tensor expected =
      to_dtype(x, DType::kFloat64) * (to_dtype(x, DType::kFloat64).square().mean(-1, true) + 1e-5).rsqrt();
  EXPECT_TRUE(
      to_dtype(rms_norm(x, make_full({8}, 1.0, DType::kFloat32), 1e-5), DType::kFloat64).allclose(expected, 5e-7, 0));
  EXPECT_TRUE(lowbit::embedding(x, make_arange(3, DType::kInt64)).equal(x));
}

}  // namespace
}  // namespace lowbit
