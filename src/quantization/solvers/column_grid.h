#pragma once

#include <ATen/core/Tensor.h>

#include "lowbit/formats/grid.h"

namespace lowbit {

/// The arithmetic of `GroupGrid`, operation by operation, on one column of a weight, wherever it lies: a number of each
/// row on the row's own scale and zero, all of them float32 [rows].
class ColumnGrid {
 public:
  ColumnGrid(const GridSpec& grid, at::Device device);

  /// The codes of the nearest numbers, as whole float32 numbers.
  [[nodiscard]] at::Tensor encode(const at::Tensor& weights, const at::Tensor& scales, const at::Tensor& zeros) const;
  [[nodiscard]] at::Tensor decode(const at::Tensor& codes, const at::Tensor& scales, const at::Tensor& zeros) const;

 private:
  bool real_zero_ = false;
  double top_ = 15;        // 2^bits - 1
  double largest_ = 0;     // of a codebook
  at::Tensor table_;       // float32: a codebook's numbers by code; undefined without one
  at::Tensor ascending_;   // float32: its codes in the order of their numbers
  at::Tensor boundaries_;  // float64: numbers above one of them are nearer to the next number
};

}  // namespace lowbit
