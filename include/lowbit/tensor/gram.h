#pragma once

#include <ATen/core/Tensor.h>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// `sums` += `gram(x)` bit for bit, without a second matrix of that size. `sums` float64 [n, n], contiguous, symmetric.
void add_gram(at::Tensor& sums, const at::Tensor& x);
/// `sums` += `cross_gram(x, y)` bit for bit, likewise.
void add_cross_gram(at::Tensor& sums, const at::Tensor& x, const at::Tensor& y);

}  // namespace LOWBIT_EXPORT
