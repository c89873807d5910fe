// FP8 activations on another device, by the kernels' own sources on the tests' model of a GPU.
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <vector>

#include "kernels/cuda/device_product.h"
#include "lowbit/formats/certificate.h"
#include "lowbit/formats/pack_weight.h"
#include "lowbit/tensor/device_packed.h"
#include "model/device_linear.h"
#include "other_device/packed_on_device.h"
#include "quantization/activations/input_rounding.h"
#include "support/error_text.h"
#include "tensor/device_weight.h"
#include "tensor/number_kind.h"

namespace lowbit {
namespace {

namespace cuda = kernels::cuda;
using ::testing::AllOf;
using ::testing::Each;
using testing::error_text;
using ::testing::Field;
using testing::quantized;
using testing::random_floats;
using testing::SmallRun;
using testing::stand_in;

using Float8OnOtherDevice = testing::PackedOnOtherDevice;

// Bit for bit, as the CPU simulates it: rows of all sizes, none, and what is no number.
TEST_F(Float8OnOtherDevice, RoundsToFloat8AsTheCpuSimulatesIt) {
  ActivationScheme scheme;
  scheme.type = ActivationScheme::Type::kFloat8;
  const DeviceWeight weight(
      pack_weight(quantize_to_nearest(random_floats({16, 200}, "weight"), GridOptions::of(NumberFormat::kE4m3).spec())),
      stand_in());
  at::Tensor x = random_floats({9, 200}, "x");
  x[1].zero_();
  for (const auto& [row, factor] : {std::pair(2, 0x1p-130), std::pair(3, 0x1p-147), std::pair(4, 0x1p+120)}) {
    x[row].mul_(factor);
  }
  const cuda::DeviceProduct product(open_kernels(), 0, cuda::pack(pack_weight(quantized(16, 200, 8, -1))));
  for (const DType type : {DType::kFloat32, DType::kBFloat16}) {
    const at::Tensor input = to_dtype(x, type).to(stand_in());
    at::Tensor numbers = make_zeros({9, 200}, DType::kBFloat16).to(stand_in());
    at::Tensor scales = make_zeros({9, 1}, DType::kFloat32).to(stand_in());
    product.round_float8({input.const_data_ptr(), kind_of(input.scalar_type()), 9,
                          static_cast<std::uint16_t*>(numbers.mutable_data_ptr()), scales.mutable_data_ptr<float>(),
                          current_stream(stand_in())});
    const at::Tensor expected = round_input(to_dtype(to_dtype(x, type), DType::kFloat32), scheme, {});
    EXPECT_TRUE(to_dtype(numbers.cpu(), DType::kFloat32).mul(scales.cpu()).equal(expected));
  }
  at::Tensor broken = random_floats({3, 200}, "broken");
  broken[1][17] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor y = weight.multiply(broken.to(stand_in()), {}, DeviceArithmetic::kFloat8, DType::kFloat32).cpu();
  EXPECT_TRUE(y[1].isnan().all().item<bool>());
  EXPECT_FALSE(y[0].isnan().any().item<bool>() || y[2].isnan().any().item<bool>());
  const at::Tensor none = make_zeros({2, 0, 200}, DType::kFloat32).to(stand_in());
  EXPECT_EQ(shape_of(weight.multiply(none, {}, DeviceArithmetic::kFloat8, DType::kFloat32)), Shape({2, 0, 16}));
}

// A packed matrix and its product by the kernel that no route takes yet.
class HopperFloat8Product {
 public:
  explicit HopperFloat8Product(const QuantizedWeight& weight)
      : packed_(cuda::pack(pack_weight(weight))), product_(open_kernels(), 0, packed_) {
    memory_ = make_zeros({static_cast<std::int64_t>(packed_.bytes.size())}, DType::kUInt8);
    std::memcpy(memory_.mutable_data_ptr(), packed_.bytes.data(), packed_.bytes.size());
    memory_ = memory_.to(stand_in());
  }
  [[nodiscard]] at::Tensor multiply(const at::Tensor& x, const at::Tensor& bias) const {
    constexpr auto kRoute = cuda::Route::kHopperFloat8;
    constexpr auto kArithmetic = cuda::DeviceArithmetic::kFloat8;
    const auto tokens = static_cast<std::int32_t>(x.size(0));
    const at::Tensor input = x.to(stand_in());
    const at::Tensor offsets = bias.to(stand_in());
    at::Tensor y = make_zeros({tokens, packed_.shape.rows}, DType::kFloat32).to(stand_in());
    at::Tensor space = make_zeros({product_.workspace_bytes(kRoute, kArithmetic, tokens) / 4}, DType::kFloat32);
    space = space.to(stand_in());
    product_.multiply(
        kRoute, kArithmetic,
        {static_cast<const std::byte*>(memory_.const_data_ptr()), input.const_data_ptr(), y.mutable_data_ptr(),
         kind_of(input.scalar_type()), cuda::NumberKind::kFloat32, offsets.const_data_ptr<float>(), tokens,
         static_cast<std::byte*>(space.mutable_data_ptr()), current_stream(stand_in())});
    return y.cpu();
  }

 private:
  cuda::Packed packed_;
  cuda::DeviceProduct product_;
  at::Tensor memory_;
};

// What the unit may lose of a chunk is most of the bound.
TEST_F(Float8OnOtherDevice, MultipliesFloat8ByHoppersOwnProducts) {
  ActivationScheme scheme;
  scheme.type = ActivationScheme::Type::kFloat8;
  const QuantizedWeight weight =
      quantize_to_nearest(random_floats({40, 200}, "weight"), GridOptions::of(NumberFormat::kE4m3).spec());
  const HopperFloat8Product product(weight);
  const at::Tensor bias = random_floats({40}, "bias");
  const at::Tensor dense = weight.dequantize().to(at::kDouble);
  for (const std::int64_t tokens : {3, 70}) {
    const at::Tensor x = to_dtype(random_floats({tokens, 200}, "x"), DType::kBFloat16);
    const at::Tensor rounded = round_input(to_dtype(x, DType::kFloat32), scheme, {}).to(at::kDouble);
    const at::Tensor expected = rounded.matmul(dense.t()).add(bias);
    const at::Tensor allowed = rounded.abs().matmul(dense.abs().t()).mul(132 * 0x1p-13).add(bias.abs(), 0x1p-20);
    EXPECT_TRUE(product.multiply(x, bias).sub(expected).abs().le(allowed).all().item<bool>());
  }
  const HopperFloat8Product integers(quantized(40, 200, 8, -1));
  EXPECT_EQ(error_text(ErrorCode::kInternal,
                       [&] {
                         (void)integers.multiply(random_floats({3, 200}, "x"), bias);
                       }),
            "a product of E4M3 was given a weight of other numbers");
}

// Codes of both sides are exact, so that what is off are the float32 sums and the scale.
TEST_F(Float8OnOtherDevice, RoundsInputsToFloat8PerToken) {
  ActivationScheme scheme;
  scheme.type = ActivationScheme::Type::kFloat8;
  at::Tensor x = random_floats({5, 200}, "x");
  x[3].zero_();
  const at::Tensor rounded = round_input(x, scheme, {}).to(at::kDouble);
  const at::Tensor bias = random_floats({40}, "bias");
  for (const GridOptions& grid : {GridOptions::of(NumberFormat::kE4m3), GridOptions{.bits = 4, .group = 32}}) {
    const QuantizedWeight weight = quantize_to_nearest(random_floats({40, 200}, "weight"), grid.spec());
    const DeviceLinear linear(DeviceWeight(pack_weight(weight), stand_in()), bias.to(stand_in()),
                              DeviceArithmetic::kFloat8);
    const at::Tensor dense = weight.dequantize().to(at::kDouble);
    const at::Tensor expected = rounded.matmul(dense.t()).add(bias);
    const at::Tensor allowed = rounded.abs().matmul(dense.abs().t()).add(bias.abs()).mul(220 * 0x1p-24);
    EXPECT_TRUE(linear.forward(x.to(stand_in()), false).cpu().sub(expected).abs().le(allowed).all().item<bool>());
    EXPECT_TRUE(linear.certify(weight).holds());
    // Rounding is part of what is certified: products of inputs that nothing rounds are not these.
    CertifiedProduct unrounded{InputRounding::kFloat8, {}, {}};
    unrounded.multiply = [&](std::span<const float> inputs, std::int64_t tokens) {
      const at::Tensor found = tensor_of(inputs).view({tokens, 200}).matmul(weight.dequantize().t()).contiguous();
      const auto numbers = values_of<float>(found);
      return std::vector<float>(numbers.begin(), numbers.end());
    };
    EXPECT_FALSE(certify_product(weight, unrounded).holds());
  }
  SmallRun run;
  run.quantize("[{rtn: {format: e4m3}}, {activations: {type: fp8}}]", "float8");
  const auto model = open(run, "float8", Execution::kPacked, true);
  const at::Tensor simulated = logits(*open(run, "float8", Execution::kSimulated, false));
  EXPECT_LE(logits(*model).sub(simulated).abs().max().item<double>(), simulated.abs().max().item<double>() / 20);
  EXPECT_THAT(model->products(), Each(AllOf(Field(&ProductRecord::packed, true), Field(&ProductRecord::around, ""),
                                            Field(&ProductRecord::arithmetic, "float8"))));
}

}  // namespace
}  // namespace lowbit
