#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "lowbit/quantization/solver.h"

namespace lowbit {

/// How far AWQ lets the largest weight of a group shrink, and in how many steps of 1 / grid.
struct ClipOptions {
  int grid = 20;
  double max_shrink = 0.5;
};

/// `weight` [out, in] with each row's groups clamped to the range under which the group's own part of the output,
/// ||x_g (Q(clamp(w)) - w)_g||^2 over `inputs` [tokens, in], changes least when the solver's grid rounds it; never
/// worse than without clamping under that measure.
[[nodiscard]] at::Tensor clip_to_least_error(const at::Tensor& weight, const at::Tensor& inputs,
                                             const WeightSolver& solver, const ClipOptions& options,
                                             const std::function<void()>& check_cancelled);

}  // namespace lowbit
