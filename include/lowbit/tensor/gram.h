#pragma once

#include "lowbit/base/export.h"
#include "lowbit/fwd.h"

namespace lowbit LOWBIT_EXPORT {

/// Adds `gram(x)` (lowbit/tensor/ops.h) as one term to the lower triangle, with the diagonal, of `sums` [n, n] float64;
/// what lies above it becomes undefined, until `mirror_lower_triangle`. The bits of adding whole matrices, for less.
/// What lies on another device is multiplied there, wherever `sums` are.
void add_gram(at::Tensor& sums, const at::Tensor& x);
/// Adds `cross_gram(x, y)` as one term to `sums`, float64 and contiguous: the bits of adding the matrix, which is made
/// only for more rows than are multiplied at a time.
void add_cross_gram(at::Tensor& sums, const at::Tensor& x, const at::Tensor& y);
/// Makes a square, contiguous float64 matrix symmetric by what lies below its diagonal.
void mirror_lower_triangle(at::Tensor& matrix);

}  // namespace LOWBIT_EXPORT
