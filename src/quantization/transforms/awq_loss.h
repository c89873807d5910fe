#pragma once

#include <ATen/core/Tensor.h>

#include <limits>
#include <string>
#include <vector>

#include "lowbit/model/block.h"

namespace lowbit {

/// Squared change of the output of the module that a group's scale is judged by, over a sample of tokens: exactly the
/// module (attention, MLP) for linears that are only seen through it, ||X D^T||^2 with the change D of the weight where
/// the module is the linear itself, by way of X^T X when that is the smaller matrix.
class ModuleLoss {
 public:
  /// `inputs` [1, tokens, in] are the group's, a sequence each. `block` must stay as it is.
  ModuleLoss(const Block& block, const FusedGroup& group, std::vector<at::Tensor> inputs, const RopeTable& rope);

  /// With `weights`, float32, in place of those of the group's linears, in their order. Where the loss is above
  /// `limit`, some number above it.
  [[nodiscard]] double of(const std::vector<at::Tensor>& weights,
                          double limit = std::numeric_limits<double>::infinity()) const;

 private:
  [[nodiscard]] at::Tensor output(const Block& block, const at::Tensor& x) const;
  [[nodiscard]] double of_linear(const at::Tensor& weight) const;

  const Block& block_;
  FusedGroup group_;
  std::vector<at::Tensor> inputs_;
  const RopeTable& rope_;
  std::vector<at::Tensor> targets_;  // the module's outputs, unless it is a linear
  at::Tensor rows_;                  // of a linear: its inputs [tokens, in], or
  at::Tensor gram_;                  // X^T X [in, in]
};

}  // namespace lowbit
