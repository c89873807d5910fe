#pragma once

#include "kernels/cuda/arithmetic.h"
#include "kernels/cuda/layout.h"

// Scales and zeros as they lie in memory, one at a time.
namespace lowbit::kernels::cuda {

LOWBIT_HOST_DEVICE inline float load_scale(ScaleKind kind, const void* base, std::int64_t index) {
  if (kind == ScaleKind::kFloat32) return static_cast<const float*>(base)[index];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(base)[index];
  return kind == ScaleKind::kFloat16 ? half_as_float(bits) : bfloat16_as_float(bits);
}

LOWBIT_HOST_DEVICE inline float scale_of(const Matrix& weight, std::int64_t at) {
  return load_scale(weight.scale_kind, weight.scales, at);
}
LOWBIT_HOST_DEVICE inline std::int32_t zero_of(const Matrix& weight, std::int64_t at) {
  return weight.zeros != nullptr ? weight.zeros[at] : weight.uniform_zero;
}

/// Of a row, where each row has one.
LOWBIT_HOST_DEVICE inline int scale_place_of_row(int row) {
  return row / kTileRows * kTileRows + scale_place(row % kTileRows);
}

}  // namespace lowbit::kernels::cuda
