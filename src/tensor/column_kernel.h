#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

namespace lowbit::kernels::cuda {
class Library;
}

namespace lowbit {

/// Neighbouring columns of a weight on a device. Matrices are transposed: a column is a row of them.
struct DeviceColumns {
  at::Tensor weights;  ///< float32 [columns, out], contiguous: with every update of the columns before
  at::Tensor upper;    ///< float32 [columns, columns], rows of U side by side; it may be a part of a larger matrix
  at::Tensor groups;   ///< int32 [columns]: the group of each
  at::Tensor codes;    ///< uint8 [columns, out], contiguous
  /// As `upper`, or undefined: GPTAQ's correction, whose rows times the columns are added to those behind them.
  at::Tensor carry;
  at::Tensor carried;  ///< with it, float32 [columns, out], contiguous: becomes what was added, unrounded
  at::Tensor values;   ///< as `carried`, or undefined: becomes what codes stand for
};

/// GPTQ's steps through columns by one launch of a kernel of ours (kernels/cuda/solve_columns.h) into LibTorch's
/// stream: each is rounded to the nearest number of its group, and its error taken off those behind it. With the CPU's
/// bits, unless columns are carried, whose products the CPU adds in another order.
///
///   const ColumnKernel kernel(scales, zeros, 4, false);
///   kernel.solve(columns);
class ColumnKernel {
 public:
  /// Of one launch.
  [[nodiscard]] static std::int64_t most_columns(bool carries);

  /// Whether lowbit has kernels for the device: for a GPU where it was built with nvcc, for any device where
  /// LOWBIT_CUDA_KERNELS names their file.
  [[nodiscard]] static bool serves(at::Device device);

  /// `scales` and `zeros` float32 [groups, out], contiguous, are read by each launch. `real_zeros`: codes are
  /// round(w / scale + zero), else round(w / scale) + zero. Throws `kDevice` when the kernels cannot be loaded.
  ColumnKernel(at::Tensor scales, at::Tensor zeros, int bits, bool real_zeros);
  ~ColumnKernel();
  ColumnKernel(const ColumnKernel&) = delete;
  ColumnKernel& operator=(const ColumnKernel&) = delete;
  /// Fills in the codes; weights become the errors (w - q) / U_jj. Throws what CUDA reports of the launch.
  void solve(const DeviceColumns& columns) const;

 private:
  std::unique_ptr<const kernels::cuda::Library> library_;
  at::Tensor scales_;
  at::Tensor zeros_;
  int bits_;
  bool real_zeros_;
};

}  // namespace lowbit
