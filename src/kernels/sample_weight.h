#pragma once

#include <cstdint>
#include <string_view>

#include "lowbit/kernels/api.h"

namespace lowbit::kernels {

/// A random weight to check or to time kernels with; `columns / group` may leave a ragged group.
struct SampleShape {
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t group;
  int bits;
  Decoding decoding;     ///< kWholeZero or kTable
  ScaleStorage storage;  ///< kFloat16 or kUint8
};
[[nodiscard]] UnpackedWeight sample_weight(const SampleShape& shape, std::string_view seed);

}  // namespace lowbit::kernels
