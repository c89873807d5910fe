#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
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

  /// The module with other weights. Lives no longer than its loss.
  class Trial {
   public:
    /// The loss on part `part` of the sample.
    [[nodiscard]] double of(std::size_t part) const;

   private:
    friend class ModuleLoss;
    explicit Trial(const ModuleLoss& loss) : loss_(loss) {}
    const ModuleLoss& loss_;
    std::optional<Block> block_;  // unless the module is a linear, of which
    at::Tensor change_;           // [out, in] suffices
  };

  /// With `weights`, float32, in place of those of the group's linears, in their order.
  [[nodiscard]] Trial with(const std::vector<at::Tensor>& weights) const;
  /// Parts of the sample whose losses add up to the whole: its sequences, or one where X^T X stands for all.
  [[nodiscard]] std::size_t parts() const { return gram_.defined() ? 1 : inputs_.size(); }
  /// The loss on the whole sample.
  [[nodiscard]] double of(const std::vector<at::Tensor>& weights) const;

 private:
  [[nodiscard]] at::Tensor output(const Block& block, const at::Tensor& x) const;

  const Block& block_;
  FusedGroup group_;
  std::vector<at::Tensor> inputs_;
  const RopeTable& rope_;
  std::vector<at::Tensor> targets_;  // the module's outputs, unless it is a linear
  at::Tensor gram_;                  // of a linear, where its inputs have more rows than columns: X^T X [in, in]
};

}  // namespace lowbit
