#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "lowbit/base/export.h"

// Scales of two levels, after QServe (arXiv 2405.04532): a group's scale is a whole number times one float32 number of
// the row, so that a product adds up whole numbers over all groups.
namespace lowbit {
namespace kernels LOWBIT_EXPORT {

/// The largest whole number of a group for codes of `bits` (2..4): with it and some zero point all
/// n (code - zero) lie in -128..127.
[[nodiscard]] constexpr int largest_whole_scale(int bits) { return 256 >> bits; }

/// The zero points for which n (code - zero) lies in -128..127 for every code of `bits`.
struct ZeroRange {
  int low;
  int high;
};
[[nodiscard]] constexpr ZeroRange zeros_for(int whole_scale, int bits) {
  const int top = (1 << bits) - 1;
  if (whole_scale == 0) return {0, top};
  const int low = top - 127 / whole_scale;
  const int high = 128 / whole_scale;
  return {low > 0 ? low : 0, high < top ? high : top};
}

/// The number m of a row: the largest of which every scale is a whole multiple, 0 for zeros alone. None if a scale is
/// negative or not finite, or more than 255 m.
[[nodiscard]] std::optional<float> row_scale(std::span<const float> scales);

}  // namespace LOWBIT_EXPORT
}  // namespace lowbit
