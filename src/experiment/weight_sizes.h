#pragma once

#include <algorithm>
#include <cstdint>

#include "lowbit/formats/grid.h"

namespace lowbit {

inline constexpr std::int64_t kFloat = sizeof(float);

/// What a weight of so many elements takes on its grid while it is in memory: a byte a code, float32 scale and zero.
inline std::int64_t codes_of(std::int64_t elements, std::int64_t rows, const GridSpec& grid) {
  const std::int64_t groups = grid.group > 0 ? elements / grid.group : rows;
  return elements + 2 * kFloat * groups;
}

/// The same packed for the disk.
inline std::int64_t packed(std::int64_t elements, std::int64_t rows, const GridSpec& grid) {
  return elements * grid.bits / 8 + (codes_of(elements, rows, grid) - elements) / 2;
}

/// The same in the layout of the kernels: codes of 2, 3, 4 or 8 bits, a scale as it is stored and a byte for the zero.
inline std::int64_t packed_for_products(std::int64_t elements, std::int64_t rows, const GridSpec& grid) {
  const std::int64_t groups = (codes_of(elements, rows, grid) - elements) / (2 * kFloat);
  const int width = grid.bits <= 4 ? grid.bits : 8;
  return elements * width / 8 + groups * (std::max(scale_type_bits(grid.scale_type), 16) / 8 + 1);
}

}  // namespace lowbit
