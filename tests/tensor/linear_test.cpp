#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "tensor_cases.h"

namespace lowbit {
namespace {

using testing::random_tensor;
using testing::ThreadCount;

class DeterministicLinear : public ::testing::TestWithParam<DType> {};

// Widths: whole vectors, ragged ones (172 = 4 x 43) and several slices of columns.
const std::int64_t kWidths[] = {64, 172, 576};
const std::int64_t kLengths[] = {1, 2, 37, 64, 130};

TEST_P(DeterministicLinear, HasTheSameBitsForAnyNumberOfThreads) {
  for (const std::int64_t in : kWidths) {
    const at::Tensor weight = random_tensor({1000, in}, GetParam(), "weight");
    for (const std::int64_t tokens : kLengths) {
      const at::Tensor x = random_tensor({3, tokens, in}, GetParam(), "x");
      const ThreadCount two(2);
      const at::Tensor expected = linear(x, weight, {}, true);
      const ThreadCount one(1);
      EXPECT_TRUE(linear(x, weight, {}, true).equal(expected)) << in << " wide, " << tokens << " tokens";
    }
  }
}

TEST_P(DeterministicLinear, HasTheSameBitsInAnyBatchAndOrder) {
  for (const std::int64_t in : kWidths) {
    const at::Tensor weight = random_tensor({192, in}, GetParam(), "weight");
    for (const std::int64_t tokens : kLengths) {
      const at::Tensor x = random_tensor({16, tokens, in}, GetParam(), "x");
      const at::Tensor all = linear(x, weight, {}, true);
      EXPECT_TRUE(linear(x.flip({0}), weight, {}, true).equal(all.flip({0})));
      for (const std::int64_t first : {0, 5, 14}) {
        EXPECT_TRUE(linear(x.narrow(0, first, 2), weight, {}, true).equal(all.narrow(0, first, 2)));
        EXPECT_TRUE(linear(x.narrow(0, first, 1), weight, {}, true).equal(all.narrow(0, first, 1)));
      }
    }
  }
}

TEST_P(DeterministicLinear, GivesRowsThatDoNotDependOnWhatFollows) {
  const at::Tensor weight = random_tensor({192, 172}, GetParam(), "weight");
  const at::Tensor x = random_tensor({1, 130, 172}, GetParam(), "x");
  const at::Tensor all = linear(x, weight, {}, true);
  for (const std::int64_t tokens : {2, 63, 64, 65, 129}) {
    EXPECT_TRUE(linear(x.narrow(1, 0, tokens), weight, {}, true).equal(all.narrow(1, 0, tokens))) << tokens;
  }
}

TEST_P(DeterministicLinear, EqualsTheProductInDoublePrecision) {
  const std::int64_t in = 172;
  const at::Tensor weight = random_tensor({70, in}, GetParam(), "weight");
  const at::Tensor bias = random_tensor({70}, GetParam(), "bias");
  // Sums of 172 products of standard normals stay below 8 sqrt(172) = 105. float32: 172 roundings of at most 2^-24 of
  // that; bfloat16: one more rounding of 2^-9.
  const double bound = GetParam() == DType::kFloat32 ? 172 * 105.0 / (1 << 24) : 105.0 / (1 << 9) + 0.01;
  for (const std::int64_t tokens : kLengths) {
    const at::Tensor x = random_tensor({2, tokens, in}, GetParam(), "x");
    const at::Tensor expected = x.to(at::kDouble).matmul(weight.to(at::kDouble).t()).add(bias.to(at::kDouble));
    for (const bool deterministic : {true, false}) {
      const at::Tensor actual = linear(x, weight, bias, deterministic).to(at::kDouble);
      EXPECT_LE(actual.sub(expected).abs().max().item<double>(), bound) << tokens << " tokens";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, DeterministicLinear, ::testing::Values(DType::kFloat32, DType::kBFloat16),
                         [](const auto& type) { return std::string(dtype_name(type.param)); });

TEST(Linear, LetsGradientsFlowToInputAndWeight) {
  at::Tensor x = random_tensor({2, 3, 8}, DType::kFloat32, "x").requires_grad_(true);
  at::Tensor weight = random_tensor({5, 8}, DType::kFloat32, "weight").requires_grad_(true);
  linear(x, weight, {}, true).sum().backward();
  EXPECT_TRUE(x.grad().allclose(weight.detach().sum(at::IntArrayRef{0}).expand({2, 3, 8})));
  EXPECT_TRUE(weight.grad().allclose(x.detach().sum(at::IntArrayRef{0, 1}).expand({5, 8})));
}

TEST(Linear, RefusesAWeightOfAnotherWidth) {
  const at::Tensor x = make_zeros({2, 3, 8}, DType::kFloat32);
  const at::Tensor weight = make_zeros({5, 7}, DType::kFloat32);
  try {
    (void)linear(x, weight, {}, true);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "linear: input [2, 3, 8] of Float does not go with weight [5, 7] of Float");
  }
}

}  // namespace
}  // namespace lowbit
