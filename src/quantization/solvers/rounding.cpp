#include "quantization/solvers/rounding.h"

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {

void visit_clip(FieldVisitor& v, Clip& clip) {
  v.choice("clip", clip, {"none", "mse"},
           "range that a group's scale covers: none: all weights; mse: shrunk where that lessens |Q(w) - w|^2.4");
}

GroupParameters fit_group(const at::Tensor& weight, const GridSpec& grid, Clip clip) {
  return clip == Clip::kMse ? fit_clipped(weight, grid, ClipSearch{}) : fit_min_max(weight, grid);
}

QuantizedWeight round_to_nearest(const at::Tensor& weight, const GridSpec& grid, Clip clip) {
  const ClipSearch search;
  return quantize_to_nearest(weight, grid, clip == Clip::kMse ? &search : nullptr);
}

void check_weight(const LinearProblem& problem) {
  if (problem.weight.dim() != 2 || problem.weight.numel() == 0) {
    fail(ErrorCode::kData, "layer '{}': a weight of shape {} is not a matrix", problem.layer,
         shape_text(shape_of(problem.weight)));
  }
  if (!all_finite(problem.weight)) {
    fail(ErrorCode::kData, "layer '{}': the weight holds NaN or Inf; nothing can be rounded to it", problem.layer);
  }
}

}  // namespace lowbit
