#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "quantization/solvers/column_grid.h"
#include "quantization/solvers/column_sweep.h"

namespace lowbit {

/// SpQR's rounding of columns on a device: weights that would cost more than a limit there stay in float16. Columns are
/// in the order of the sweep.
class DeviceOutliers {
 public:
  /// `diagonal` float32 [in] of the sweep's factor; `limit` of ((w - q) / U_jj)^2.
  DeviceOutliers(const GridSpec& grid, const at::Tensor& diagonal, double limit, std::int64_t rows, at::Device device);

  void round(std::int64_t position, DeviceColumn& column);

  /// Of all columns, in main memory: uint8 [out, in], 1 where a weight is kept.
  [[nodiscard]] at::Tensor mask() const { return in_rows(mask_); }
  /// float32 [out, in]: the weights that are kept, else 0.
  [[nodiscard]] at::Tensor kept() const { return in_rows(kept_); }

 private:
  [[nodiscard]] static at::Tensor in_rows(const at::Tensor& columns) { return columns.t().contiguous().cpu(); }

  ColumnGrid grid_;
  double limit_;
  at::Tensor diagonal_;  // float64 [in]
  at::Tensor mask_;      // uint8 [in, out]
  at::Tensor kept_;      // float32 [in, out]
};

}  // namespace lowbit
