#pragma once

#include <cstdint>

namespace lowbit {

/// numbers[i] = code[first + i] * scale + minimum of a stream of codes of `bits` bits (lowbit/formats/packing.h),
/// rounded after the product and after the sum. Reads up to kCodesBehind words behind the last code's.
inline constexpr std::int64_t kCodesBehind = 2;
struct CodeStream {
  const std::uint32_t* words;
  std::int64_t first;
};

/// The functions of one width of codes, 2 to 8 bits.
struct CodeDecoder {
  /// With a scale and a minimum for each number.
  void (*of_each)(const CodeStream& codes, std::int64_t count, const float* scales, const float* minima,
                  float* numbers);
  /// With one for all.
  void (*of_all)(const CodeStream& codes, std::int64_t count, float scale, float minimum, float* numbers);
};
[[nodiscard]] const CodeDecoder& code_decoder(int bits);

}  // namespace lowbit
