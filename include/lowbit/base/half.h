#pragma once

#include <bit>
#include <cstdint>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// float16 (IEEE 754 binary16) to float, exactly; NaNs keep sign and payload. Free of branches and of subnormal
/// arithmetic, so that loops over it vectorize and a flush-to-zero mode cannot change it.
[[nodiscard]] inline float half_to_float(std::uint16_t half) {
  const std::uint32_t magnitude = half & 0x7FFFU;
  const std::uint32_t shifted = magnitude << 13;
  // A subnormal half is a whole multiple of 2^-24. The cast to int32 is one that SSE2 has.
  const float tiny = static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24F;
  const std::uint32_t normal = shifted + (112U << 23);  // exponent bias 127 in place of 15
  const std::uint32_t special = shifted | 0x7F800000U;
  // Masks rather than ?:, which the compiler turns into branches about the product.
  const std::uint32_t subnormal = 0U - static_cast<std::uint32_t>(magnitude < 0x0400U);
  const std::uint32_t infinite = 0U - static_cast<std::uint32_t>(magnitude >= 0x7C00U);
  const std::uint32_t bits =
      (std::bit_cast<std::uint32_t>(tiny) & subnormal) | (normal & ~(subnormal | infinite)) | (special & infinite);
  return std::bit_cast<float>(bits | (static_cast<std::uint32_t>(half & 0x8000U) << 16));
}

/// The nearest float16, ties to even; above 65519.99... infinity; NaNs become quiet.
[[nodiscard]] inline std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  const std::uint32_t odd = (magnitude >> 13) & 1U;
  const std::uint32_t normal = (magnitude - (112U << 23) + 0x0FFFU + odd) >> 13;
  // Adding 0.5 to |value| < 2^-14 leaves it in units of 2^-24 at the end of the significand, rounded to even.
  const float aligned = std::bit_cast<float>(magnitude) + 0.5F;
  const std::uint32_t tiny = std::bit_cast<std::uint32_t>(aligned) - 0x3F000000U;
  const std::uint32_t quiet = 0x7E00U | ((magnitude >> 13) & 0x01FFU);
  // Masks as in `half_to_float`.
  const std::uint32_t subnormal = 0U - static_cast<std::uint32_t>(magnitude < 0x38800000U);  // 2^-14
  const std::uint32_t infinite = 0U - static_cast<std::uint32_t>(magnitude >= 0x477FF000U);  // 65520, half-way to 2^16
  const std::uint32_t no_number = 0U - static_cast<std::uint32_t>(magnitude > 0x7F800000U);
  const std::uint32_t half =
      (tiny & subnormal) | (normal & ~(subnormal | infinite)) | (0x7C00U & infinite & ~no_number) | (quiet & no_number);
  return static_cast<std::uint16_t>(half | ((bits >> 16) & 0x8000U));
}

[[nodiscard]] inline float bfloat16_to_float(std::uint16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

/// The nearest bfloat16, ties to even; NaNs become quiet.
[[nodiscard]] inline std::uint16_t float_to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x0040U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace LOWBIT_EXPORT
