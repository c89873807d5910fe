#include "model/device_linear.h"

#include <utility>

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
    case DeviceArithmetic::kBFloat16:
    case DeviceArithmetic::kFloat8: break;
  }
  return InputRounding::kBFloat16;
}

Certificate certify_by(const QuantizedWeight& weight, const DeviceWeight& packed, DeviceArithmetic arithmetic) {
  CertifiedProduct product{rounding_of(arithmetic), {}, DeviceWeight::kernel_name(arithmetic)};
  product.multiply = [&](std::span<const float> inputs, std::int64_t tokens) {
    const DType type = arithmetic == DeviceArithmetic::kBFloat16 ? DType::kBFloat16 : DType::kFloat32;
    const at::Tensor x = to_place(tensor_of(inputs).view({tokens, packed.columns()}), type, packed.device());
    const at::Tensor y = packed.multiply(x, {}, arithmetic, DType::kFloat32).cpu().contiguous();
    const auto numbers = values_of<float>(y);
    return std::vector<float>(numbers.begin(), numbers.end());
  };
  return certify_product(weight, product);
}

}  // namespace

DeviceLinear::DeviceLinear(DeviceWeight weight, at::Tensor bias, DeviceArithmetic arithmetic)
    : weight_(std::move(weight)), bias_(std::move(bias)), arithmetic_(arithmetic) {}

at::Tensor DeviceLinear::forward(const at::Tensor& x, bool) const {
  return weight_.multiply(x, bias_, arithmetic_, dtype_of(x));
}

at::Tensor DeviceLinear::dense_weight() const { return decoded_matrix(weight_.unpack()); }

Certificate DeviceLinear::certify(const QuantizedWeight& weight) const {
  const bool integers = arithmetic_ == DeviceArithmetic::kInt8 || arithmetic_ == DeviceArithmetic::kInt16;
  Certificate own = certify_by(weight, weight_, integers ? arithmetic_ : DeviceArithmetic::kBFloat16);
  if (integers || weight.grid.kind != GridKind::kInteger || !own.holds()) return own;
  const Certificate exact = certify_by(weight, weight_, DeviceArithmetic::kInt16);
  if (!exact.holds()) return exact;
  own.outputs += exact.outputs;
  return own;
}

}  // namespace lowbit
