#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "lowbit/base/cancellation.h"
#include "lowbit/calibration/statistics.h"
#include "lowbit/model/block.h"
#include "quantization/driver/held_states.h"

namespace lowbit {

/// One block's forward pass over many sequences, group of linears by group: for each sequence the input of a group may
/// be asked for, groups in rising order. Weights of a group may be replaced until a later group's input is asked for.
/// States that `held` has room for are kept between groups; else, and without it, each is computed again from the
/// start.
class BlockPass {
 public:
  /// `inputs` [1, tokens, hidden] each; all arguments must outlive the pass. `after_read` is told each time when a
  /// sequence's input is no longer needed for the moment.
  BlockPass(const Block& block, const std::vector<at::Tensor>& inputs, const RopeTable& rope,
            const Cancellation& cancellation, HeldStates* held = nullptr,
            std::function<void(std::size_t sequence)> after_read = {});

  /// What the products of the group see, behind executions that map the input: [tokens, in], until the next call for
  /// the sequence.
  [[nodiscard]] at::Tensor input(std::size_t sequence, std::size_t group);
  /// [1, tokens, hidden], after all groups. The pass is over for this sequence, whose input may then be replaced.
  [[nodiscard]] at::Tensor output(std::size_t sequence);
  [[nodiscard]] std::size_t sequences() const { return inputs_.size(); }
  [[nodiscard]] bool holds_states() const { return held_ != nullptr; }

 private:
  struct State {
    BlockState block;
    std::size_t group = 0;
    bool begun = false;
  };
  void advance(State& state, std::size_t sequence, std::size_t group);

  const Block& block_;
  const std::vector<at::Tensor>& inputs_;
  const RopeTable& rope_;
  const Cancellation& cancellation_;
  std::vector<FusedGroup> groups_;
  HeldStates* held_;  // null: nothing is kept
  std::function<void(std::size_t)> after_read_;
  std::vector<State> states_;
};

/// Statistics of one group's input over all sequences, in their order. `other` is the float stream's pass, for `cross`.
[[nodiscard]] Statistics collect_statistics(BlockPass& pass, BlockPass* other, std::size_t group,
                                            const StatisticsNeeds& needs);

}  // namespace lowbit
