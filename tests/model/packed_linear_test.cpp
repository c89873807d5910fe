#include "lowbit/model/packed_linear.h"

#include <gtest/gtest.h>

#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using kernels::Arithmetic;

at::Tensor random_tensor(const Shape& shape, std::string_view name) {
  const Random random(5, name);
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.normal(i));
  return tensor_of(values).view(shape);
}

QuantizedWeight quantized(NumberFormat format) {
  return quantize_to_nearest(random_tensor({48, 200}, "weight"), GridOptions::of(format).spec());
}

TEST(PackedLinearOp, StandsForTheDequantizedWeight) {
  for (const NumberFormat format : {NumberFormat::kInteger, NumberFormat::kOffset, NumberFormat::kNf4}) {
    const QuantizedWeight weight = quantized(format);
    const auto op = make_packed_linear(weight, {}, Arithmetic::kFloat32);
    EXPECT_TRUE(op->dense_weight().equal(weight.dequantize()));
    EXPECT_EQ(op->in_features(), 200);
    EXPECT_EQ(op->out_features(), 48);
    EXPECT_LT(op->weight_bytes(), 48 * 200 * 2);
    EXPECT_GE(op->weight_bytes() * 8, weight.stored_bits());
  }
}

TEST(PackedLinearOp, GivesARowTheSameBitsInAnyBatch) {
  const at::Tensor bias = random_tensor({48}, "bias");
  const at::Tensor x = random_tensor({2, 9, 200}, "x");
  for (const Arithmetic arithmetic : {Arithmetic::kFloat32, Arithmetic::kInt8, Arithmetic::kInt16}) {
    const auto op = make_packed_linear(quantized(NumberFormat::kInteger), bias, arithmetic);
    const at::Tensor all = op->forward(x, true);
    EXPECT_EQ(shape_of(all), (Shape{2, 9, 48}));
    for (const std::int64_t tokens : {1, 2, 5}) {
      EXPECT_TRUE(op->forward(x.narrow(1, 0, tokens), false).equal(all.narrow(1, 0, tokens)));
    }
  }
}

TEST(PackedLinearOp, RefusesWhatNoKernelComputes) {
  EXPECT_EQ(
      testing::error_text(ErrorCode::kUnsupported,
                          [] { (void)make_packed_linear(quantized(NumberFormat::kNf4), {}, Arithmetic::kInt8); }),
      "product: arithmetic 'int8' needs whole zero points, and this weight has a table of numbers; use 'float32'");
  EXPECT_EQ(testing::error_text(ErrorCode::kInternal,
                                [] {
                                  (void)make_packed_linear(quantized(NumberFormat::kInteger),
                                                           make_zeros({47}, DType::kFloat32), Arithmetic::kInt8);
                                }),
            "linear: a bias of [47] does not go with 48 outputs");
}

}  // namespace
}  // namespace lowbit
