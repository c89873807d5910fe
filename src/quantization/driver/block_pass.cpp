#include "quantization/driver/block_pass.h"

#include <optional>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/base/resident.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {
BlockPass::BlockPass(const Block& block, const std::vector<at::Tensor>& inputs, const RopeTable& rope,
                     const Cancellation& cancellation, HeldStates* held, std::function<void(std::size_t)> after_read)
    : block_(block),
      inputs_(inputs),
      rope_(rope),
      cancellation_(cancellation),
      groups_(block.fused_groups()),
      held_(held != nullptr && held->reserve(block, inputs) ? held : nullptr),
      after_read_(std::move(after_read)),
      states_(held_ != nullptr ? inputs.size() : 0) {}

at::Tensor BlockPass::input(std::size_t sequence, std::size_t group) {
  State fresh;
  State& state = held_ != nullptr ? states_[sequence] : fresh;
  advance(state, sequence, group);
  if (held_ != nullptr) {
    if (!state.block.residual.is_same(inputs_[sequence])) held_->keep_residual(sequence, state.block.residual);
    held_->keep_input(sequence, state.block.x);
  }
  return block_.linear(groups_[group].linears.front()).mapped_input(state.block.x).flatten(0, 1);
}

at::Tensor BlockPass::output(std::size_t sequence) {
  State fresh;
  State& state = held_ != nullptr ? states_[sequence] : fresh;
  advance(state, sequence, groups_.size());
  at::Tensor result = state.block.residual;
  state = State{};  // its memory is no longer needed
  return result;
}

void BlockPass::advance(State& state, std::size_t sequence, std::size_t group) {
  cancellation_.check();
  const NoGradScope no_gradients;
  if (!state.begun) {
    const at::Tensor& input = inputs_[sequence];  // on the disk, or where the block computes
    state.block = block_.begin(to_place(input, dtype_of(input), block_.options().device));
    state.begun = true;
  }
  LOWBIT_ASSERT(state.group <= group);
  for (; state.group < group; ++state.group) block_.step(state.block, state.group, rope_);
  if (after_read_) after_read_(sequence);
}

Statistics collect_statistics(BlockPass& pass, BlockPass* other, std::size_t group, const StatisticsNeeds& needs) {
  LOWBIT_ASSERT(!needs.cross || other != nullptr);
  std::optional<Statistics> result;
  for (std::size_t sequence = 0; sequence < pass.sequences(); ++sequence) {
    const at::Tensor x = pass.input(sequence, group);
    if (!result) result.emplace(x.size(1), needs);
    result->add(x, needs.cross ? other->input(sequence, group) : at::Tensor());
  }
  LOWBIT_ASSERT(result.has_value());
  // What passes from the start freed lies in the way of what solving makes.
  if (!pass.holds_states()) release_freed_memory();
  return std::move(*result);
}

}  // namespace lowbit
