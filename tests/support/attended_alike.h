#pragma once

#include <ATen/core/Tensor.h>

#include "tensor/float_panels.h"

namespace lowbit::testing {

/// Whether two ways to attend gave the same: its bits where products are chains (float_panels.h); elsewhere they are
/// LibTorch's, whose order of sums depends on the shape, and may differ by `tolerance` of the largest.
inline bool attended_alike(const at::Tensor& found, const at::Tensor& expected, double tolerance = 1e-3) {
  if (float_panels_available()) return found.equal(expected);
  return found.sub(expected).abs().max().item<double>() <= tolerance * expected.abs().max().item<double>();
}

}  // namespace lowbit::testing
