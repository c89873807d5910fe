#include "model/device_linear.h"

#include <utility>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "model/packed_op.h"

namespace lowbit {

namespace {

InputRounding rounding_of(DeviceArithmetic arithmetic) {
  switch (arithmetic) {
    case DeviceArithmetic::kInt8: return InputRounding::kInt8;
    case DeviceArithmetic::kInt16: return InputRounding::kInt16;
    case DeviceArithmetic::kFloat8: return InputRounding::kFloat8;
    case DeviceArithmetic::kBFloat16: break;
  }
  return InputRounding::kBFloat16;
}

// In products of `block` tokens each, so that their route is that of so many; inputs are repeated to fill the last one.
MultiplyTokens in_blocks(const DeviceWeight& packed, DeviceArithmetic arithmetic, std::int64_t block, DType output) {
  return [&packed, arithmetic, block, output](std::span<const float> inputs, std::int64_t tokens) {
    const DType type = arithmetic == DeviceArithmetic::kBFloat16 ? DType::kBFloat16 : DType::kFloat32;
    const std::int64_t whole = (tokens + block - 1) / block * block;
    at::Tensor x = to_place(tensor_of(inputs).view({tokens, packed.columns()}), type, packed.device());
    x = concatenate(std::vector<at::Tensor>(static_cast<std::size_t>((whole + tokens - 1) / tokens), x), 0);
    std::vector<at::Tensor> results;
    for (std::int64_t first = 0; first < whole; first += block) {
      results.push_back(packed.multiply(x.narrow(0, first, block), {}, arithmetic, output));
    }
    const at::Tensor y = to_place(concatenate(results, 0), DType::kFloat32, at::kCPU).narrow(0, 0, tokens);
    const auto numbers = values_of<float>(y);
    return std::vector<float>(numbers.begin(), numbers.end());
  };
}

MultiplyTokens by_one_route(const DeviceWeight& packed, DeviceArithmetic arithmetic) {
  return [&packed, arithmetic](std::span<const float> inputs, std::int64_t tokens) {
    const DType type = arithmetic == DeviceArithmetic::kBFloat16 ? DType::kBFloat16 : DType::kFloat32;
    const at::Tensor x = to_place(tensor_of(inputs).view({tokens, packed.columns()}), type, packed.device());
    const at::Tensor y = packed.multiply(x, {}, arithmetic, DType::kFloat32, DeviceRoutes::kOne).cpu().contiguous();
    const auto numbers = values_of<float>(y);
    return std::vector<float>(numbers.begin(), numbers.end());
  };
}

// By every route.
Certificate certify_by(const QuantizedWeight& weight, const DeviceWeight& packed, DeviceArithmetic arithmetic) {
  CertifiedProduct product{rounding_of(arithmetic), by_one_route(packed, arithmetic), packed.kernel_names(arithmetic)};
  for (const DeviceRoute& route : packed.routes(arithmetic)) {
    if (route.tokens == 1) continue;
    const DType output = route.rounds_weight ? DType::kBFloat16 : DType::kFloat32;
    product.others.push_back({in_blocks(packed, arithmetic, route.tokens, output), route.rounds_weight});
  }
  return certify_product(weight, product);
}

}  // namespace

DeviceLinear::DeviceLinear(DeviceWeight weight, at::Tensor bias, DeviceArithmetic arithmetic)
    : weight_(std::move(weight)), bias_(std::move(bias)), arithmetic_(arithmetic) {}

at::Tensor DeviceLinear::forward(const at::Tensor& x, bool deterministic) const {
  return weight_.multiply(x, bias_, arithmetic_, dtype_of(x),
                          deterministic ? DeviceRoutes::kOne : DeviceRoutes::kFastest);
}

at::Tensor DeviceLinear::dense_weight() const { return decoded_matrix(weight_.unpack()); }

Certificate DeviceLinear::certify(const QuantizedWeight& weight) const {
  const bool integers = arithmetic_ == DeviceArithmetic::kInt8 || arithmetic_ == DeviceArithmetic::kInt16;
  Certificate own = certify_by(weight, weight_, arithmetic_);
  if (integers || weight.grid.kind != GridKind::kInteger || !own.holds()) return own;
  const Certificate exact = certify_by(weight, weight_, DeviceArithmetic::kInt16);
  if (!exact.holds()) return exact;
  own.outputs += exact.outputs;
  return own;
}

}  // namespace lowbit
