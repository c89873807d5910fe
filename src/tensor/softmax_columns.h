#pragma once

#include <cstdint>

namespace lowbit {

/// In place, of sixteen columns of `scores`, 32-byte aligned, whose rows are `stride` numbers apart, with m the largest
/// of each column: exp(scale * (score - m)) in float32, and the columns' sums, added up in the order of the rows.
/// -infinity becomes 0; each column must hold one number above it, and `scale` be positive. Both give the same bits;
/// `PanelKernel::softmax_columns` (tensor/float_panels.h) is the one for a processor. Defined on x86-64 alone.
void softmax_columns_avx2(float* scores, std::int64_t rows, std::int64_t stride, float scale, float* sums);
void softmax_columns_avx512(float* scores, std::int64_t rows, std::int64_t stride, float scale, float* sums);

}  // namespace lowbit
