#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lowbit/model/block.h"

namespace lowbit {

/// Memory for what a pass keeps of its sequences between groups of linears: one piece, taken when first needed and
/// filled again block after block. States allocated one by one would leave holes behind that wider ones do not fit
/// into. Serves one pass at a time.
class HeldStates {
 public:
  explicit HeldStates(std::int64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  /// Makes room for the states of a block's sequences, [1, tokens, hidden] each; false when that takes more than the
  /// limit.
  [[nodiscard]] bool reserve(const Block& block, const std::vector<at::Tensor>& inputs);
  /// [1, tokens, hidden], and [1, tokens, channels] of no more channels than a group's input has.
  void keep_residual(std::size_t sequence, at::Tensor& residual) const;
  void keep_input(std::size_t sequence, at::Tensor& x) const;

 private:
  void keep(std::int64_t first, at::Tensor& values) const;
  std::int64_t limit_bytes_;
  std::int64_t hidden_ = 0;
  std::int64_t widest_ = 0;
  std::vector<std::int64_t> first_rows_;  // of each sequence, and one past the last
  at::Tensor memory_;                     // all residuals, then all inputs
};

}  // namespace lowbit
