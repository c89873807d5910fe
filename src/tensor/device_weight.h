#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/cuda/device_product.h"
#include "lowbit/tensor/device_packed.h"

// What lies behind a `DeviceWeight`, for those that launch its products themselves.
namespace lowbit {

/// The file that LOWBIT_CUDA_KERNELS names, or the one beside liblowbit.so.
[[nodiscard]] kernels::cuda::Library open_kernels();
/// Whether it names one.
[[nodiscard]] bool kernels_named();
[[nodiscard]] int index_of(at::Device device);
/// LibTorch's, in which its work and ours follow each other.
[[nodiscard]] void* current_stream(at::Device device);

struct DeviceWeight::State {
  State(const kernels::cuda::Packed& packed, at::Device device);
  [[nodiscard]] static std::int64_t bytes_of(const kernels::cuda::Packed& packed);
  static void check_place(const at::Tensor& tensor);
  [[nodiscard]] const std::byte* bytes() const { return static_cast<const std::byte*>(memory.const_data_ptr()); }
  /// By kernels of ours alone. `bias` is float32.
  void run(kernels::cuda::Route route, kernels::cuda::DeviceArithmetic arithmetic, const at::Tensor& x,
           const at::Tensor& bias, at::Tensor& output) const;

  kernels::cuda::DeviceProduct product;
  at::Tensor memory;
};

}  // namespace lowbit
