#pragma once

#include <cstdint>

namespace lowbit::kernels {

// What rounding and arranging a token's numbers does to all of them, built once for each instruction set; the same bits
// from each.

/// The bits of the largest magnitude: those of infinities and NaNs are greater than all others'. 0 of nothing.
[[nodiscard]] std::int32_t largest_magnitude(const float* values, std::int64_t count);

/// The integers nearest values / scale, half to even, of magnitudes below 2^15; their sum. `scale` is no NaN.
std::int32_t round_to_integers(const float* values, std::int64_t count, float scale, std::int16_t* integers);

/// As bfloat16, half to even, with 0 for what then is below 2^-100: sums of products with whole numbers then are 0 or
/// normal, so that units that take denormal numbers for 0 give the same bits.
void round_to_bfloats(const float* values, std::int64_t count, float* rounded);

/// The lowest byte of each.
void low_bytes(const std::int16_t* integers, std::int64_t count, std::uint8_t* low);

/// integer = 256 * high + low, both signed bytes.
void split_bytes(const std::int16_t* integers, std::int64_t count, std::uint8_t* high, std::uint8_t* low);

}  // namespace lowbit::kernels
