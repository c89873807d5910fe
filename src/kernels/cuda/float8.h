#pragma once

#include "kernels/cuda/arithmetic.h"

// E4M3, OCP's 8-bit float: a sign, four bits of exponent with bias 7, three of significand; subnormal numbers, no
// infinities, NaN where all bits but the sign are set.
namespace lowbit::kernels::cuda {

inline constexpr float kLargestE4m3 = 448.0F;

/// Exactly.
LOWBIT_HOST_DEVICE inline float e4m3_as_float(std::uint32_t code) {
  const std::uint32_t magnitude = code & 0x7FU;
  float value = float_from_bits((magnitude << 20) + (120U << 23));  // exponent bias 127 in place of 7
  if (magnitude < 8) value = static_cast<float>(magnitude) * 0x1p-9F;
  if (magnitude == 0x7FU) value = float_from_bits(0x7FC00000U);
  return (code & 0x80U) != 0 ? -value : value;
}

/// The nearest, ties to even; 448 for all that is larger, infinity too. NaN stays NaN.
LOWBIT_HOST_DEVICE inline std::uint32_t nearest_e4m3(float value) {
  const std::uint32_t bits = bits_of_float(value);
  const std::uint32_t sign = bits >> 24 & 0x80U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return sign | 0x7FU;
  if (magnitude >= 0x43E00000U) return sign | 0x7EU;  // 448
  if (magnitude >= 0x3C800000U) {                     // 2^-6, the smallest normal number
    const std::uint32_t odd = magnitude >> 20 & 1U;
    return sign | (magnitude - (120U << 23) + 0x7FFFFU + odd) >> 20;
  }
  // The sum is a whole multiple of 2^-9, as subnormal numbers are.
  return sign | (bits_of_float(float_from_bits(magnitude) + 0x1p14F) - 0x46800000U);
}

/// Two of them, the first one low.
LOWBIT_HOST_DEVICE inline std::uint32_t pair_of_e4m3(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  std::uint16_t result;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(result) : "f"(high), "f"(low));
  return result;
#else
  return nearest_e4m3(low) | nearest_e4m3(high) << 8;
#endif
}

}  // namespace lowbit::kernels::cuda
