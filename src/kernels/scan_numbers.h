#pragma once

#include <cstdint>

#include "lowbit/kernels/api.h"

// Quick looks at all numbers of a weight before it is packed.
namespace lowbit::kernels {

[[nodiscard]] std::uint8_t largest_code(const std::uint8_t* codes, std::int64_t count);
/// Whether all are zero or normal numbers of `storage`. False says nothing: subnormal ones can be held too.
[[nodiscard]] bool surely_held(const float* values, std::int64_t count, ScaleStorage storage);
/// Whether all are whole numbers from 0 to `highest` (at most 255).
[[nodiscard]] bool all_whole(const float* values, std::int64_t count, float highest);
[[nodiscard]] bool all_finite(const float* values, std::int64_t count);

}  // namespace lowbit::kernels
