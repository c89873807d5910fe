#pragma once

#include "lowbit/base/export.h"
#include "lowbit/fwd.h"

namespace lowbit LOWBIT_EXPORT {

/// Turns dimensions i and i + dim / 2 of x [batch, heads, tokens, dim] as one pair: x cos + (-x_second, x_first) sin,
/// each step rounded to the type of `x`, which `cos` and `sin` [tokens, dim] have too.
[[nodiscard]] at::Tensor rotate_pairs(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

}  // namespace LOWBIT_EXPORT
