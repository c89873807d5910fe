#include "lowbit/tensor/vector_product.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "support/error_text.h"
#include "tensor_cases.h"

namespace lowbit {
namespace {

using testing::random_tensor;

// As the header says it, number by number.
std::vector<float> expected_product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor wide = to_dtype(weight, DType::kFloat32).contiguous();
  const std::span<const float> numbers = values_of<float>(x);
  const std::span<const float> offsets = values_of<float>(bias);
  std::vector<float> out;
  for (std::size_t row = 0; row < offsets.size(); ++row) {
    const auto weights = values_of<float>(wide).subspan(row * numbers.size(), numbers.size());
    std::array<float, 16> sums{};
    for (std::size_t c = 0; c < numbers.size(); ++c) {
      const float product = weights[c] * numbers[c];
      sums[c % 16] += product;
    }
    for (std::size_t width = 8; width > 0; width /= 2) {
      for (std::size_t i = 0; i < width; ++i) sums[i] += sums[i + width];
    }
    out.push_back(offsets[row] + sums[0]);
  }
  return out;
}

TEST(VectorProduct, HasTheBitsOfItsDefinition) {
  for (const DType type : {DType::kFloat32, DType::kBFloat16}) {
    for (const std::int64_t columns : {1, 15, 16, 77, 576}) {
      const at::Tensor x = random_tensor({columns}, DType::kFloat32, "x");
      const at::Tensor weight = random_tensor({70, columns}, type, "weight");
      const at::Tensor bias = random_tensor({70}, DType::kFloat32, "bias");
      const std::vector<float> expected = expected_product(x, weight, bias);
      const VectorProduct product{.x = x.const_data_ptr<float>(),
                                  .weight = weight.const_data_ptr(),
                                  .type = type,
                                  .bias = bias.const_data_ptr<float>(),
                                  .columns = columns};
      for (const std::int64_t begin : {0, 3}) {
        for (const std::int64_t end : {4, 5, 70}) {
          std::vector<float> out(static_cast<std::size_t>(end - begin));
          product.run(begin, end, out.data());
          EXPECT_EQ(out, std::vector<float>(expected.begin() + begin, expected.begin() + end))
              << dtype_name(type) << ", " << columns << " columns, rows " << begin << " to " << end;
        }
      }
    }
  }
}

TEST(VectorProduct, IsWhatLinearComputesForOneToken) {
  for (const DType type : {DType::kFloat32, DType::kBFloat16}) {
    const at::Tensor weight = random_tensor({130, 77}, type, "weight");
    const at::Tensor bias = random_tensor({130}, type, "bias");
    const at::Tensor x = random_tensor({3, 1, 77}, type, "x");
    const at::Tensor found = linear(x, weight, bias, /*deterministic=*/true);
    for (std::int64_t sequence = 0; sequence < 3; ++sequence) {
      const std::vector<float> expected =
          expected_product(to_dtype(x.select(0, sequence).select(0, 0), DType::kFloat32).contiguous(), weight,
                           to_dtype(bias, DType::kFloat32));
      EXPECT_TRUE(
          found.select(0, sequence).select(0, 0).equal(to_dtype(tensor_of(std::span<const float>(expected)), type)))
          << dtype_name(type);
    }
  }
}

TEST(VectorProduct, RefusesOtherWeights) {
  float out = 0;
  EXPECT_EQ(testing::error_text(ErrorCode::kInternal, [&] { VectorProduct{.type = DType::kInt64}.run(0, 1, &out); }),
            "vector product: the weight is int64, expected float32 or bfloat16");
}

}  // namespace
}  // namespace lowbit
