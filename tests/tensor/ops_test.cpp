#include "lowbit/tensor/ops.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factorization.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/gram.h"
#include "support/error_text.h"
#include "tensor/float_panels.h"
#include "tensor_cases.h"

namespace lowbit {
namespace {

using testing::random_tensor;
using testing::ThreadCount;

// softmax(scale q k^T + mask) v in double precision, one query at a time.
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                           std::int64_t window) {
  at::Tensor out = q.to(at::kDouble).clone();
  const std::int64_t past = k.size(2) - q.size(2);
  const std::int64_t repeats = q.size(1) / k.size(1);
  for (std::int64_t b = 0; b < q.size(0); ++b) {
    for (std::int64_t h = 0; h < q.size(1); ++h) {
      for (std::int64_t t = 0; t < q.size(2); ++t) {
        const std::int64_t last = past + t;
        const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, last - window + 1) : 0;
        const auto seen = [&](const at::Tensor& x) {
          return x.select(0, b).select(0, h / repeats).narrow(0, first, last - first + 1).to(at::kDouble);
        };
        const at::Tensor query = q.select(0, b).select(0, h).select(0, t).to(at::kDouble);
        const at::Tensor weights = seen(k).matmul(query).mul(scale).softmax(0);
        out.select(0, b).select(0, h).select(0, t).copy_(weights.matmul(seen(v)));
      }
    }
  }
  return out;
}

struct AttentionCase {
  std::int64_t tq, past, window, dim;
};

class CausalAttention : public ::testing::TestWithParam<AttentionCase> {};

TEST_P(CausalAttention, EqualsThePlainFormula) {
  const auto [tq, past, window, dim] = GetParam();
  const at::Tensor q = random_tensor({2, 6, tq, dim}, DType::kFloat32, "q");
  const at::Tensor k = random_tensor({2, 2, tq + past, dim}, DType::kFloat32, "k");
  const at::Tensor v = random_tensor({2, 2, tq + past, dim}, DType::kFloat32, "v");
  const at::Tensor expected = plain_attention(q, k, v, 0.3, window);
  for (const bool deterministic : {true, false}) {
    const at::Tensor actual = causal_attention(q, k, v, 0.3, window, deterministic).to(at::kDouble);
    // A convex mixture of values below 5: float32 scores of size 0.3 * 5 sqrt(dim) carry about 1e-6 into the weights.
    EXPECT_LE(actual.sub(expected).abs().max().item<double>(), 2e-5);
  }
}

TEST_P(CausalAttention, RoundsBFloat16OnceWhereItIsWidened) {
  if (!bfloat16_is_widened()) GTEST_SKIP() << "this processor's products of bfloat16 are LibTorch's";
  const auto [tq, past, window, dim] = GetParam();
  const at::Tensor q = random_tensor({2, 6, tq, dim}, DType::kBFloat16, "q");
  const at::Tensor k = random_tensor({2, 2, tq + past, dim}, DType::kBFloat16, "k");
  const at::Tensor v = random_tensor({2, 2, tq + past, dim}, DType::kBFloat16, "v");
  const at::Tensor expected = plain_attention(q, k, v, 0.3, window);
  const at::Tensor actual = causal_attention(q, k, v, 0.3, window, true);
  EXPECT_EQ(dtype_of(actual), DType::kBFloat16);
  // Half of a bfloat16 number's last bit, and what float32 leaves.
  const at::Tensor excess = actual.to(at::kDouble).sub(expected).abs().sub(expected.abs().mul(0x1p-8));
  EXPECT_LE(excess.max().item<double>(), 2e-5);
}

TEST_P(CausalAttention, HasTheSameBitsForAnyThreadsAndBatch) {
  const auto [tq, past, window, dim] = GetParam();
  for (const DType type : {DType::kFloat32, DType::kBFloat16}) {
    const at::Tensor q = random_tensor({3, 6, tq, dim}, type, "q");
    const at::Tensor k = random_tensor({3, 2, tq + past, dim}, type, "k");
    const at::Tensor v = random_tensor({3, 2, tq + past, dim}, type, "v");
    const ThreadCount two(2);
    const at::Tensor expected = causal_attention(q, k, v, 0.3, window, true);
    const ThreadCount one(1);
    EXPECT_TRUE(causal_attention(q, k, v, 0.3, window, true).equal(expected));
    for (std::int64_t i = 0; i < 3; ++i) {
      const auto part = [i](const at::Tensor& t) { return t.narrow(0, i, 1); };
      EXPECT_TRUE(causal_attention(part(q), part(k), part(v), 0.3, window, true).equal(part(expected)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, CausalAttention,
                         ::testing::Values(AttentionCase{1, 0, 0, 8}, AttentionCase{1, 20, 0, 8},
                                           AttentionCase{37, 0, 0, 8}, AttentionCase{37, 0, 5, 64},
                                           AttentionCase{5, 12, 0, 64}, AttentionCase{5, 12, 4, 64},
                                           AttentionCase{1, 30, 4, 16}, AttentionCase{200, 0, 0, 16}));

TEST(RmsNorm, EqualsTheFormulaAndItsDifferentiableForm) {
  const at::Tensor x = random_tensor({3, 5, 172}, DType::kFloat32, "x");
  const at::Tensor weight = random_tensor({172}, DType::kFloat32, "w");
  const at::Tensor wide = x.to(at::kDouble);
  const at::Tensor expected = wide.mul(wide.pow(2).mean({-1}, true).add(1e-5).rsqrt()).mul(weight.to(at::kDouble));
  const at::Tensor plain = rms_norm(x, weight, 1e-5);
  const at::Tensor functional = rms_norm(x.clone().requires_grad_(true), weight, 1e-5);
  EXPECT_LE(plain.to(at::kDouble).sub(expected).abs().max().item<double>(), 1e-5);
  EXPECT_LE(functional.to(at::kDouble).sub(expected).abs().max().item<double>(), 1e-5);
}

// With x = (1, 1, ...) scaled so that the normalised value 1 + 2^-9 rounds to 1 in bfloat16, rounding before the weight
// gives the weight itself.
TEST(RmsNorm, RoundsToTheInputTypeBeforeTheWeight) {
  const at::Tensor x = make_full({1, 4}, 1.0, DType::kBFloat16);
  const at::Tensor weight = make_full({4}, 3.0, DType::kBFloat16);
  const double eps = 1.0 / ((1.0 + 1.0 / 512) * (1.0 + 1.0 / 512)) - 1.0;
  EXPECT_TRUE(rms_norm(x, weight, eps).equal(weight.unsqueeze(0)));
}

TEST(Activations, HaveTheSameBitsForAnyThreadsAndBatch) {
  for (const std::int64_t width : {172, 1536}) {
    const at::Tensor x = random_tensor({7, 37, width}, DType::kFloat32, "x");
    for (const auto& apply : {silu, gelu_tanh, relu}) {
      const ThreadCount two(2);
      const at::Tensor expected = apply(x);
      const ThreadCount one(1);
      EXPECT_TRUE(apply(x).equal(expected));
      EXPECT_TRUE(apply(x.narrow(0, 3, 1)).equal(expected.narrow(0, 3, 1)));
    }
  }
}

TEST(Gram, EqualsTheProductInDoublePrecisionAndIsSymmetric) {
  for (const std::int64_t width : {172, 600}) {
    const at::Tensor x = random_tensor({1100, width}, DType::kFloat32, "x");
    const at::Tensor wide = x.to(at::kDouble);
    const ThreadCount two(2);
    const at::Tensor sums = gram(x);
    // 512 float32 additions of products below 16, each rounding below 2^-24 of a partial sum below 1000.
    EXPECT_LE(sums.sub(wide.t().matmul(wide)).abs().max().item<double>(), 0.01);
    EXPECT_TRUE(sums.equal(sums.t()));
    const ThreadCount one(1);
    EXPECT_TRUE(gram(x).equal(sums));
  }
}

TEST(Gram, IsAddedToALowerTriangleWithTheSameBits) {
  for (const std::int64_t tokens : {1, 511, 512, 1100}) {
    const at::Tensor x = random_tensor({tokens, 172}, DType::kFloat32, "x");
    const at::Tensor before = gram(random_tensor({60, 172}, DType::kFloat32, "before"));
    at::Tensor sums = before.clone();
    add_gram(sums, x);
    mirror_lower_triangle(sums);
    EXPECT_TRUE(sums.equal(before.add(gram(x)))) << tokens;
  }
}

TEST(Gram, OfTwoInputsEqualsTheProductInDoublePrecision) {
  const at::Tensor x = random_tensor({700, 172}, DType::kFloat32, "x");
  const at::Tensor y = random_tensor({700, 300}, DType::kFloat32, "y");
  const at::Tensor expected = x.to(at::kDouble).t().matmul(y.to(at::kDouble));
  EXPECT_LE(cross_gram(x, y).sub(expected).abs().max().item<double>(), 0.01);
}

TEST(Cholesky, InvertsAPositiveDefiniteMatrixWithTheSameBitsForAnyThreads) {
  const at::Tensor x = random_tensor({800, 300}, DType::kFloat64, "x");
  const at::Tensor matrix = x.t().matmul(x);
  const ThreadCount two(2);
  const std::optional<at::Tensor> factor = cholesky(matrix);
  ASSERT_TRUE(factor.has_value());
  const at::Tensor inverse = cholesky_inverse(*factor);
  EXPECT_TRUE(inverse.matmul(matrix).allclose(make_eye(300, DType::kFloat64), 1e-8, 1e-8));
  const ThreadCount one(1);
  EXPECT_TRUE(cholesky(matrix)->equal(*factor));
  EXPECT_TRUE(cholesky_inverse(*factor).equal(inverse));
}

TEST(Gram, OfTwoInputsIsAddedWithTheSameBits) {
  for (const std::int64_t tokens : {90, 512, 1100}) {
    const at::Tensor x = random_tensor({tokens, 300}, DType::kFloat32, "x");
    const at::Tensor y = random_tensor({tokens, 70}, DType::kFloat32, "y");
    at::Tensor sums = cross_gram(random_tensor({60, 300}, DType::kFloat32, "before"), y.narrow(0, 0, 60));
    const at::Tensor expected = sums.add(cross_gram(x, y));
    add_cross_gram(sums, x, y);
    EXPECT_TRUE(sums.equal(expected)) << tokens;
  }
}

// At each place of a vector, of what is left beside vectors, and of a thread's share.
TEST(AllFinite, FindsASingleNumber) {
  constexpr std::int64_t kCount = (std::int64_t{1} << 18) + 5;
  for (const DType type : {DType::kFloat32, DType::kFloat64, DType::kFloat16}) {
    at::Tensor numbers = make_full({kCount}, 60000.0, type);
    EXPECT_TRUE(all_finite(numbers.neg()));
    for (const std::int64_t place : {0L, 1L, 2L, 3L, 7L, (1L << 17) - 1, 1L << 17, kCount - 2, kCount - 1}) {
      for (const double bad : {HUGE_VAL, -HUGE_VAL, std::nan("")}) {
        at::Tensor damaged = numbers.clone();
        damaged.select(0, place).fill_(bad);
        EXPECT_FALSE(all_finite(damaged)) << place << " " << bad;
      }
    }
  }
}

TEST(AllFinite, HoldsForTheLargestAndTheSmallestNumbers) {
  const std::vector<double> wide{std::numeric_limits<double>::max(), std::numeric_limits<double>::lowest(),
                                 std::numeric_limits<double>::denorm_min(), -0.0};
  const std::vector<float> narrow{std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest(),
                                  std::numeric_limits<float>::denorm_min(), -0.0F};
  EXPECT_TRUE(all_finite(tensor_of(std::span<const double>(wide))));
  EXPECT_TRUE(all_finite(tensor_of(std::span<const float>(narrow))));
  EXPECT_TRUE(all_finite(make_empty({0}, DType::kFloat32)));
}

TEST(AllFinite, LooksAtWhatAViewShows) {
  at::Tensor matrix = make_zeros({4, 6}, DType::kFloat32);
  matrix.select(0, 1).select(0, 4).fill_(HUGE_VAL);
  EXPECT_TRUE(all_finite(matrix.narrow(1, 0, 4)));
  EXPECT_FALSE(all_finite(matrix.narrow(1, 2, 4)));
  EXPECT_FALSE(all_finite(matrix.t()));
}

TEST(Cholesky, GivesNothingForIndefiniteAndNotFiniteMatrices) {
  EXPECT_FALSE(cholesky(make_eye(3, DType::kFloat64).neg()).has_value());
  EXPECT_FALSE(cholesky(make_full({3, 3}, std::numeric_limits<double>::quiet_NaN(), DType::kFloat64)).has_value());
}

TEST(StraightThrough, PassesTheGradientOfTheSurrogate) {
  at::Tensor x = make_full({3}, 1.3, DType::kFloat32).requires_grad_(true);
  const at::Tensor rounded = straight_through(x.round(), x);
  EXPECT_NEAR(rounded[0].item<double>(), 1.0, 1e-6);
  rounded.mul(2).sum().backward();
  EXPECT_TRUE(x.grad().equal(make_full({3}, 2.0, DType::kFloat32)));
}

TEST(GuardTorch, TurnsAnExceptionOfLibTorchIntoOneLine) {
  const auto wrong = [] { (void)make_zeros({2, 3}, DType::kFloat32).matmul(make_zeros({2, 3}, DType::kFloat32)); };
  try {
    guard_torch(wrong);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
    EXPECT_STREQ(error.what(), "LibTorch: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)");
  }
}

TEST(GuardTorch, CallsExhaustedMemoryADeviceError) {
  try {
    guard_torch([] { (void)make_empty({std::int64_t{1} << 58}, DType::kInt8); });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
  }
}

TEST(GuardTorch, NamesTheRemedyForAGpuThatFails) {
  const auto text = [](const std::function<void()>& action) {
    return testing::error_text(ErrorCode::kDevice, [&] { guard_torch(action); });
  };
  EXPECT_EQ(
      text([] { TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate 2.00 GiB.\nmore"); }),
      "the GPU is out of memory (CUDA out of memory. Tried to allocate 2.00 GiB.); smaller 'batch_tokens', "
      "'memory: streamed' or 'device: cpu' take less of it");
  EXPECT_EQ(text([] { TORCH_CHECK(false, "CUDA error: an illegal memory access was encountered\nmore"); }),
            "the GPU failed (CUDA error: an illegal memory access was encountered); look at 'nvidia-smi', or use "
            "'device: cpu'");
}

}  // namespace
}  // namespace lowbit
