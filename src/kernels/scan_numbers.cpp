#include "kernels/scan_numbers.h"

#include <bit>

#include "base/every_isa.h"

namespace lowbit::kernels {

namespace {

constexpr std::uint32_t kInfinity = 0x7F800000U;

struct NumberRange {
  std::uint32_t lost;      // bits that must be zero
  std::uint32_t smallest;  // bits of the smallest normal number
  std::uint32_t above;     // bits of the first number that is too large
};

NumberRange range_of(ScaleStorage storage) {
  switch (storage) {
    case ScaleStorage::kFloat16: return {0x1FFFU, 0x38800000U, 0x47800000U};  // 2^-14 .. below 2^16
    case ScaleStorage::kBFloat16: return {0xFFFFU, 0x00800000U, kInfinity};
    case ScaleStorage::kFloat32:
    case ScaleStorage::kUint8: break;
  }
  return {0U, 0U, kInfinity};
}

LOWBIT_EVERY_ISA
std::uint32_t count_outside(const float* values, std::int64_t count, NumberRange range) {
  std::uint32_t outside = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(values[i]) & 0x7FFFFFFFU;
    const bool normal = magnitude - range.smallest < range.above - range.smallest;
    const bool held = (magnitude & range.lost) == 0 && (normal || magnitude == 0);
    outside += held ? 0U : 1U;
  }
  return outside;
}

}  // namespace

LOWBIT_EVERY_ISA
std::uint8_t largest_code(const std::uint8_t* codes, std::int64_t count) {
  std::uint8_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) largest = codes[i] > largest ? codes[i] : largest;
  return largest;
}

bool surely_held(const float* values, std::int64_t count, ScaleStorage storage) {
  return count_outside(values, count, range_of(storage)) == 0;
}

bool all_finite(const float* values, std::int64_t count) {
  return count_outside(values, count, range_of(ScaleStorage::kFloat32)) == 0;
}

LOWBIT_EVERY_ISA
bool all_whole(const float* values, std::int64_t count, float highest) {
  std::uint32_t others = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    // Adding 2^23 rounds numbers up to 2^23 to whole ones.
    const float whole = (values[i] + 0x1p23F) - 0x1p23F;
    others += values[i] >= 0.0F && values[i] <= highest && whole == values[i] ? 0U : 1U;
  }
  return others == 0;
}

}  // namespace lowbit::kernels
