#pragma once

#include <ATen/core/Tensor.h>

#include "lowbit/formats/quantized_weight.h"

namespace lowbit {

/// The entries of `weight` [out, in] where `mask` (uint8 [out, in]) is not 0, rounded to float16, whose range they are
/// clamped to; nothing when there are none.
[[nodiscard]] std::optional<SparseOutliers> gather_outliers(const at::Tensor& weight, const at::Tensor& mask);

}  // namespace lowbit
