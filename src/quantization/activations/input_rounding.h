#pragma once

#include <ATen/core/Tensor.h>

#include "lowbit/model/activation_scheme.h"

namespace lowbit {

/// One scale and one zero for all numbers of a layer's input. `zero` is that of signed codes, 0 unless asymmetric.
struct StaticRange {
  float scale = 1;
  int zero = 0;
};

/// The range of a scheme that covers `low` .. `high`.
[[nodiscard]] StaticRange cover_range(const ActivationScheme& scheme, double low, double high);

/// `x` [..., in], each number replaced by the nearest one of its grid: integer codes times a float32 scale, in the type
/// of `x`. `range` is read by schemes per tensor only. All-zero tokens stay zero. A token's result depends on no other.
[[nodiscard]] at::Tensor round_input(const at::Tensor& x, const ActivationScheme& scheme,
                                     const StaticRange& range = {});

}  // namespace lowbit
