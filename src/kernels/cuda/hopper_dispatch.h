#pragma once

#include <cstdio>

#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/hopper.h"
#include "kernels/cuda/report.h"

// From a call to the kernels for Hopper: what it must be, which size of kernel makes it, and on which grid.
namespace lowbit::kernels::cuda {

/// Splits of the columns, and the memory that they need: `tokens` change them only where blocks are of another size.
struct HopperSchedule {
  int block_tokens;
  int row_blocks;
  int token_blocks;
  int splits;

  HopperSchedule(const Matrix& weight, int tokens, int multiprocessors)
      : block_tokens(hopper_tokens(tokens)),
        row_blocks(blocks_for(tiles_of(weight), 2 * kGroupWarps)),
        token_blocks(blocks_for(tokens, block_tokens)),
        splits(1) {
    // As many blocks as a multiprocessor holds, and for each as many chunks as it has stages.
    const int held = block_tokens <= 32 ? 2 : 1;
    if (token_blocks == 1) {
      splits = std::clamp(held * multiprocessors / row_blocks, 1, std::max(chunks_of(weight) / 6, 1));
    }
  }
  [[nodiscard]] std::size_t partial_floats(const Matrix& weight, int tokens) const {
    return splits == 1 ? 0
                       : static_cast<std::size_t>(splits) * static_cast<std::size_t>(tokens) *
                             static_cast<std::size_t>(weight.rows);
  }
  [[nodiscard]] std::size_t arrivals() const {
    return splits == 1 ? 0 : static_cast<std::size_t>(row_blocks) * static_cast<std::size_t>(token_blocks);
  }
};

template <typename Number, int kBits, typename Launcher>
bool dispatch_hopper(const HalfProduct& call, Launcher& launcher) {
  const int tokens = hopper_tokens(call.tokens);
  const auto launch = [&]<int kTokenTiles>() {
    using Kernel = Hopper<kBits, Number, kTokenTiles>;
    const GridSize grid = {
        {blocks_for(tiles_of(call.weight), Kernel::kBlockTiles), call.splits, blocks_for(call.tokens, Kernel::kTokens)},
        Kernel::kSharedWords * sizeof(std::uint32_t)};
    return launcher.template launch<Kernel>(grid, call);
  };
  switch (tokens) {
    case 16: return launch.template operator()<2>();
    case 32: return launch.template operator()<4>();
    case 64: return launch.template operator()<8>();
    default: return launch.template operator()<16>();
  }
}

template <typename Launcher>
bool dispatch_arrange_operands(const OperandCall& call, Launcher& launcher) {
  const int chunks = blocks_for(call.steps, kChunkSteps);
  const int steps_at_once = ArrangeOperands::kThreads / call.block_tokens;
  return launcher.template launch<ArrangeOperands>(
      {{blocks_for(call.tokens, call.block_tokens), blocks_for(chunks * kChunkSteps, steps_at_once), 1}, 0}, call);
}

}  // namespace lowbit::kernels::cuda
