#pragma once

#include <cstdint>

namespace lowbit {

/// In place, of `scores` [rows][16], 32-byte aligned, with m the largest of each column: exp(scale * (score - m)) in
/// float32, and the columns' sums, added up in the order of the rows. -infinity becomes 0; each column must hold one
/// number above it, and `scale` be positive. On processors with AVX2 and FMA only.
void softmax_columns(float* scores, std::int64_t rows, float scale, float* sums);

}  // namespace lowbit
