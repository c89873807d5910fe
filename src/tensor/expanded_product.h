#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/cuda/device_product.h"

namespace lowbit {

/// Products of many tokens on a device: the packed weight is decoded once, some rows at a time, and LibTorch
/// multiplies.
class ExpandedProduct {
 public:
  /// A slice of the decoded weight, with what its product takes before it is rounded, has at most so many bytes.
  static constexpr std::int64_t kSliceBytes = std::int64_t{256} << 20;

  /// `weight`: the bytes of `Packed`, on the device of `x`; `x` [tokens, in], contiguous.
  ExpandedProduct(const kernels::cuda::DeviceProduct& product, const std::byte* weight, const at::Tensor& x,
                  void* stream, std::int64_t slice_bytes = kSliceBytes);

  /// bfloat16 numbers, the nearest to the decoded weight. `bias` [out] on the device, of any type, or undefined;
  /// `output` [tokens, out], bfloat16 or float32, is filled.
  void multiply_halves(const at::Tensor& bias, at::Tensor& output) const;
  /// With the bits of `DeviceArithmetic::kInt8`, for matrices of one group; `bias` as float32.
  void multiply_bytes(const at::Tensor& bias, at::Tensor& output) const;

 private:
  // Rows first .. first + count - 1, which begin with a tile.
  struct Slice {
    std::int64_t first;
    std::int64_t count;
  };
  [[nodiscard]] std::vector<Slice> slices(std::int64_t row_bytes) const;
  [[nodiscard]] kernels::cuda::Matrix part_of(const Slice& slice) const;
  void expand(const Slice& slice, at::Tensor& numbers) const;
  [[nodiscard]] at::Tensor empty(at::IntArrayRef shape, at::ScalarType type) const;

  const kernels::cuda::DeviceProduct& product_;
  const kernels::cuda::Table& table_;
  kernels::cuda::Matrix matrix_;
  const std::int32_t* sources_;
  at::Tensor x_;
  kernels::cuda::Launch launch_;
  std::int64_t slice_bytes_;
};

}  // namespace lowbit
