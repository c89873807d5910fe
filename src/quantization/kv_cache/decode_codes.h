#pragma once

#include <cstdint>

namespace lowbit {

/// numbers[i] = code[first + i] * scales[i] + minima[i] of a stream of codes of `bits` bits (lowbit/formats/packing.h),
/// rounded after the product and after the sum. Reads up to kCodesBehind words behind the last code's.
inline constexpr std::int64_t kCodesBehind = 2;
struct CodeStream {
  const std::uint32_t* words;
  int bits;
  std::int64_t first;
};
void decode_codes(const CodeStream& codes, std::int64_t count, const float* scales, const float* minima,
                  float* numbers);

}  // namespace lowbit
