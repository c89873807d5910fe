#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/kernels/api.h"
#include "lowbit/tensor/dtype.h"

namespace lowbit LOWBIT_EXPORT {

/// What a device other than the CPU computes of packed weights. The integers are `kernels::Arithmetic`'s of these
/// names, with the CPU's bits.
enum class DeviceArithmetic {
  kInt8,
  kInt16,
  /// bfloat16 activations as they are, times code - zero or a table's numbers, in float32; for many tokens weights are
  /// rounded to bfloat16 (`DeviceRoute::rounds_weight`)
  kBFloat16,
  kFloat8,  ///< activations rounded to E4M3 per token with scale max|x| / 448, which is multiplied back; as kBFloat16
};
[[nodiscard]] std::string_view arithmetic_name(DeviceArithmetic arithmetic);

/// Which kernels may make a product.
enum class DeviceRoutes {
  kFastest,  ///< whichever is the fastest for the number of tokens
  kOne,      ///< the one for a single token, so that a token's bits do not depend on how many others there are
};

/// A way to make products, chosen by their number of tokens.
struct DeviceRoute {
  std::string kernel;          ///< "hopper", "expand + cuBLAS"
  std::int64_t tokens = 1;     ///< the least number that it is taken for
  bool rounds_weight = false;  ///< to bfloat16: a weight by at most 2^-8 of it; a bfloat16 result is rounded once more
};

/// Whether packed products can run on such a device at all: the CPU, GPUs of NVIDIA, and LibTorch's place for devices
/// of others. Throws nothing, and says nothing of this machine.
[[nodiscard]] bool is_packed_device(at::Device device);
/// Loads the kernels for the device and asks for it; the CPU's are always there. The file is liblowbit_cuda.so beside
/// liblowbit.so, or the one that LOWBIT_CUDA_KERNELS names. Throws `kDevice` with the remedy.
void require_packed_products(at::Device device);

/// A packed matrix in a device's memory, taken from LibTorch's allocator.
///
///   const DeviceWeight weight(PackedWeight::pack(canonical), device);
///   y = weight.multiply(x, bias, DeviceArithmetic::kInt16, DType::kFloat32);
class DeviceWeight {
 public:
  /// Throws `kUnsupported` for what the device's kernels lack (real zeros, outliers, tables of 2 or 3 bits), `kDevice`
  /// as `require_packed_products`.
  DeviceWeight(const kernels::PackedWeight& weight, at::Device device);
  ~DeviceWeight();
  DeviceWeight(DeviceWeight&&) noexcept;
  DeviceWeight& operator=(DeviceWeight&&) noexcept;

  /// x [..., in] float32 or bfloat16 (kBFloat16: bfloat16) -> [..., out] of `output`, which is one of these too; `bias`
  /// [out] or undefined; all on the device. Launched into LibTorch's current stream; nobody waits.
  [[nodiscard]] at::Tensor multiply(const at::Tensor& x, const at::Tensor& bias, DeviceArithmetic arithmetic,
                                    DType output, DeviceRoutes routes = DeviceRoutes::kFastest) const;
  /// Of a product, in the order of their tokens; the first is for one token.
  [[nodiscard]] std::vector<DeviceRoute> routes(DeviceArithmetic arithmetic) const;
  [[nodiscard]] std::int64_t rows() const;
  [[nodiscard]] std::int64_t columns() const;
  [[nodiscard]] std::int64_t bytes() const;
  [[nodiscard]] at::Device device() const;
  /// Copied back from the device.
  [[nodiscard]] kernels::UnpackedWeight unpack() const;
  /// Of all its products: "cuda: skinny up to 8 tokens, hopper up to 256, expand + cuBLAS".
  [[nodiscard]] std::string kernel_names(DeviceArithmetic arithmetic) const;
  /// Of one with so many tokens: "cuda: hopper".
  [[nodiscard]] std::string kernel_name(DeviceArithmetic arithmetic, std::int64_t tokens) const;

 private:
  friend class DeviceStep;
  [[nodiscard]] at::Tensor multiply_float8(const at::Tensor& x, const at::Tensor& bias, DType output,
                                           DeviceRoutes routes) const;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lowbit
