// Routes of products on a GPU, by their names.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <memory>

#include "kernels/cuda/device_product.h"
#include "lowbit/formats/pack_weight.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/packed.h"
#include "tensor/tensor_cases.h"

namespace lowbit {
namespace {

namespace cuda = kernels::cuda;

at::Tensor random_tensor(const Shape& shape, std::string_view name) {
  return testing::random_tensor(shape, DType::kFloat32, name);
}

/// x w^T of [tokens, columns] and a packed matrix by one route, in float32.
class Multiplier {
 public:
  explicit Multiplier(const kernels::PackedWeight& weight)
      : packed_(cuda::pack(weight)), product_(cuda::Library::open(LOWBIT_EMULATED_CUDA), 0, packed_) {}
  [[nodiscard]] const cuda::DeviceProduct& product() const { return product_; }

  [[nodiscard]] at::Tensor multiply(cuda::Route route, cuda::DeviceArithmetic arithmetic, const at::Tensor& x,
                                    const at::Tensor& bias = {}) const {
    const auto tokens = static_cast<std::int32_t>(x.size(0));
    at::Tensor output = make_empty({tokens, packed_.shape.rows}, DType::kFloat32).fill_(1e30);
    const auto bytes = static_cast<std::size_t>(product_.workspace_bytes(route, arithmetic, tokens));
    std::vector<std::byte> memory(bytes + 256);
    void* workspace = memory.data();
    std::size_t space = memory.size();
    EXPECT_NE(std::align(256, bytes, workspace, space), nullptr);
    const bool half = x.scalar_type() == at::kBFloat16;
    product_.multiply(
        route, arithmetic,
        {packed_.bytes.data(), x.const_data_ptr(), output.mutable_data_ptr(),
         half ? cuda::NumberKind::kBFloat16 : cuda::NumberKind::kFloat32, cuda::NumberKind::kFloat32,
         bias.defined() ? bias.const_data_ptr<float>() : nullptr, tokens, static_cast<std::byte*>(workspace), nullptr});
    return output;
  }

 private:
  cuda::Packed packed_;
  cuda::DeviceProduct product_;
};

TEST(DeviceProduct, MultipliesBytesOnHopperWithTheCpusBits) {
  const QuantizedWeight from =
      quantize_to_nearest(random_tensor({70, 150}, "weight"), GridOptions{.bits = 8, .group = -1}.spec());
  const kernels::PackedWeight weight = pack_weight(from);
  const at::Tensor bias = random_tensor({70}, "bias");
  const Multiplier multiplier(weight);
  for (const std::int32_t tokens : {3, 70, 130}) {
    const at::Tensor x = random_tensor({tokens, 150}, "x");
    EXPECT_TRUE(multiplier.multiply(cuda::Route::kHopperBytes, cuda::DeviceArithmetic::kInt8, x, bias)
                    .equal(packed_linear(x, weight, bias, kernels::Arithmetic::kInt8)))
        << tokens << " tokens";
  }
}

// Columns as they are, fewer than chunks have, and moved: what the kernel in slices reads is put in order before. A sum
// of 16-bit products is a sum of float32 in some order.
TEST(DeviceProduct, MultipliesInSlicesOfColumns) {
  for (const std::int64_t columns : {256, 250}) {
    QuantizedWeight from =
        quantize_to_nearest(random_tensor({70, columns}, "weight"), GridOptions{.bits = 4, .group = 128}.spec());
    for (const bool moved : {false, true}) {
      if (moved) from.group_index = make_arange(columns, DType::kInt32).remainder(2);
      const at::Tensor dense = from.dequantize().to(at::kDouble);
      const Multiplier multiplier(pack_weight(from));
      EXPECT_EQ(cuda::route_for(multiplier.product().routes(cuda::DeviceArithmetic::kHalf), 20),
                cuda::Route::kHopperSliced);
      for (const std::int64_t tokens : {9, 20, 64}) {
        const at::Tensor x = to_dtype(random_tensor({tokens, columns}, "x"), DType::kBFloat16);
        const at::Tensor wide = x.to(at::kDouble);
        const at::Tensor found =
            multiplier.multiply(cuda::Route::kHopperSliced, cuda::DeviceArithmetic::kHalf, x).to(at::kDouble);
        const at::Tensor allowed = wide.abs().matmul(dense.abs().t()).mul(276 * 0x1p-24);
        EXPECT_TRUE(found.sub(wide.matmul(dense.t())).abs().le(allowed).all().item<bool>())
            << tokens << " tokens, " << columns << " columns" << (moved ? ", moved" : "");
      }
    }
  }
}

}  // namespace
}  // namespace lowbit
