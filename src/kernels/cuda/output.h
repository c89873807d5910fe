#pragma once

#include "kernels/cuda/arithmetic.h"

// Where a product's numbers go, and what is added on the way.
namespace lowbit::kernels::cuda {

enum class NumberKind : std::int32_t { kFloat16, kBFloat16, kFloat32 };

LOWBIT_HOST_DEVICE inline float load_number(NumberKind kind, const void* base, std::int64_t index) {
  if (kind == NumberKind::kFloat32) return static_cast<const float*>(base)[index];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(base)[index];
  return kind == NumberKind::kFloat16 ? half_as_float(bits) : bfloat16_as_float(bits);
}

/// y = sum + bias + residual in float32, in this order, rounded to the output's kind once.
struct Target {
  void* data;           ///< [tokens][stride]
  std::int64_t stride;  ///< numbers
  NumberKind kind;
  const float* bias;     ///< [rows] or null
  const void* residual;  ///< null, or of the output's kind: [tokens][residual_stride]; may be the output
  std::int64_t residual_stride;

  LOWBIT_HOST_DEVICE void store(std::int64_t token, std::int64_t row, float sum) const {
    if (bias != nullptr) sum += bias[row];
    if (residual != nullptr) sum += load_number(kind, residual, token * residual_stride + row);
    const std::int64_t at = token * stride + row;
    if (kind == NumberKind::kFloat32) {
      static_cast<float*>(data)[at] = sum;
    } else {
      static_cast<std::uint16_t*>(data)[at] = kind == NumberKind::kFloat16 ? as_half(sum) : as_bfloat16(sum);
    }
  }
};

}  // namespace lowbit::kernels::cuda
