#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <string>

#include "lowbit/formats/quantized_weight.h"
#include "lowbit/quantization/solver.h"

namespace lowbit {

/// Which range a group's parameters cover; the key `clip` of several solvers.
enum class Clip {
  kNone,  ///< from least to largest weight
  kMse,   ///< shrunk to the least |Q(w) - w|^2.4 of 80 candidates
};
void visit_clip(FieldVisitor& v, Clip& clip);

/// Parameters of one group's columns [rows, columns]; `row_scales` for scales of type kUint8 (formats/grid_fit.h).
[[nodiscard]] GroupParameters fit_group(const at::Tensor& weight, const GridSpec& grid, Clip clip,
                                        std::span<const float> row_scales = {});
/// Whether it finds the same for the least and the largest weight of each row alone, [rows, 2].
[[nodiscard]] bool fits_extremes(const GridSpec& grid, Clip clip);
/// Every weight to its nearest code.
[[nodiscard]] QuantizedWeight round_to_nearest(const at::Tensor& weight, const GridSpec& grid, Clip clip);
/// Throws `kData`, naming the layer, unless the weight is a finite float32 matrix. Reports groups of the grid that are
/// all zero; they get a scale that holds 0.
void check_weight(const LinearProblem& problem, const GridSpec& grid);

}  // namespace lowbit
