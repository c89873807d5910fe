#pragma once

#include <cstdint>

namespace lowbit {

/// target[r, c] -= sum over k of left[r, k] * right[k, c], for `rows` x `columns` elements, the products subtracted one
/// after the other in the order of k: by fused multiply-adds where `float_panels_available()`. Each element sees the
/// same operations however the matrices are cut, so that neither tiling nor threads change a bit, nor does the choice
/// between AVX2 and AVX-512. Strides are distances between rows, in elements.
struct UpdateShape {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  std::int64_t target_stride = 0;
  std::int64_t left_stride = 0;
  std::int64_t right_stride = 0;
};
void subtract_products(float* target, const float* left, const float* right, const UpdateShape& shape);
void subtract_products(double* target, const double* left, const double* right, const UpdateShape& shape);
/// Likewise with left[k, r], [depth, rows].
void subtract_transposed_products(double* target, const double* left, const double* right, const UpdateShape& shape);

}  // namespace lowbit
