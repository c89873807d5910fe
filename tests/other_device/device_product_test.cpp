// Routes of products on a GPU that no number of tokens leads to yet, by their names.
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

TEST(DeviceProduct, MultipliesBytesOnHopperWithTheCpusBits) {
  const QuantizedWeight from =
      quantize_to_nearest(random_tensor({70, 150}, "weight"), GridOptions{.bits = 8, .group = -1}.spec());
  const kernels::PackedWeight weight = pack_weight(from);
  const at::Tensor bias = random_tensor({70}, "bias");
  const cuda::Packed packed = cuda::pack(weight);
  const cuda::DeviceProduct product(cuda::Library::open(LOWBIT_EMULATED_CUDA), 0, packed);
  constexpr auto kRoute = cuda::Route::kHopperBytes;
  constexpr auto kArithmetic = cuda::DeviceArithmetic::kInt8;
  for (const std::int32_t tokens : {3, 70, 130}) {
    const at::Tensor x = random_tensor({tokens, 150}, "x");
    at::Tensor output = make_empty({tokens, 70}, DType::kFloat32).fill_(1e30);
    const auto bytes = static_cast<std::size_t>(product.workspace_bytes(kRoute, kArithmetic, tokens));
    std::vector<std::byte> memory(bytes + 256);
    void* workspace = memory.data();
    std::size_t space = memory.size();
    ASSERT_NE(std::align(256, bytes, workspace, space), nullptr);
    product.multiply(kRoute, kArithmetic,
                     {packed.bytes.data(), x.const_data_ptr(), output.mutable_data_ptr(), cuda::NumberKind::kFloat32,
                      cuda::NumberKind::kFloat32, bias.const_data_ptr<float>(), tokens,
                      static_cast<std::byte*>(workspace), nullptr});
    EXPECT_TRUE(output.equal(packed_linear(x, weight, bias, kernels::Arithmetic::kInt8))) << tokens << " tokens";
  }
}

}  // namespace
}  // namespace lowbit
