#include "kernels/round_tokens.h"

#include <bit>

#include "base/every_isa.h"

namespace lowbit::kernels {

LOWBIT_EVERY_ISA
std::int32_t largest_magnitude(const float* values, std::int64_t count) {
  std::int32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto bits = static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(values[i]) & 0x7FFFFFFFU);
    largest = bits > largest ? bits : largest;
  }
  return largest;
}

// Adding 1.5 * 2^23 leaves the nearest integer, half to even, in the lowest bits.
LOWBIT_EVERY_ISA
std::int32_t round_to_integers(const float* values, std::int64_t count, float scale, std::int16_t* integers) {
  constexpr float kRounder = 12582912.0F;
  for (std::int64_t i = 0; i < count; ++i) {
    const float shifted = values[i] / scale + kRounder;
    integers[i] = static_cast<std::int16_t>(std::bit_cast<std::uint32_t>(shifted) & 0xFFFFU);
  }
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += integers[i];
  return sum;
}

LOWBIT_EVERY_ISA
void round_to_bfloats(const float* values, std::int64_t count, float* rounded) {
  constexpr std::uint32_t kInfinity = 0x7F800000U;
  constexpr std::uint32_t kLeast = 27U << 23;  // 2^-100
  for (std::int64_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(values[i]);
    const std::uint32_t up = (bits + 0x7FFFU + (bits >> 16 & 1U)) & 0xFFFF0000U;
    const std::uint32_t nan = (bits | 0x400000U) & 0xFFFF0000U;
    const std::uint32_t number = (bits & 0x7FFFFFFFU) > kInfinity ? nan : up;
    rounded[i] = std::bit_cast<float>((number & 0x7FFFFFFFU) < kLeast ? 0U : number);
  }
}

LOWBIT_EVERY_ISA
void low_bytes(const std::int16_t* integers, std::int64_t count, std::uint8_t* low) {
  for (std::int64_t i = 0; i < count; ++i) low[i] = static_cast<std::uint8_t>(integers[i]);
}

LOWBIT_EVERY_ISA
void split_bytes(const std::int16_t* integers, std::int64_t count, std::uint8_t* high, std::uint8_t* low) {
  for (std::int64_t i = 0; i < count; ++i) {
    // 127 * 256 + 127 is the largest, so that adding 128 stays within 16 bits.
    const auto raised = static_cast<std::int16_t>(integers[i] + 128);
    high[i] = static_cast<std::uint8_t>(raised >> 8);
    low[i] = static_cast<std::uint8_t>(integers[i]);
  }
}

}  // namespace lowbit::kernels
