#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lowbit {

// BLAS libraries may choose another kernel, with other bits, for data that does not begin on a cache line.
inline constexpr std::uintptr_t kAlignment = 64;

[[nodiscard]] inline bool aligned(const at::Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % kAlignment == 0;
}

/// The same numbers, contiguous and beginning on a cache line; LibTorch's own allocations do.
[[nodiscard]] inline at::Tensor aligned_contiguous(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.contiguous();
  return aligned(plain) ? plain : plain.clone();
}

}  // namespace lowbit
