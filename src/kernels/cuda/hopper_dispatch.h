#pragma once

#include <cstdio>

#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/hopper.h"
#include "kernels/cuda/hopper_bytes.h"
#include "kernels/cuda/hopper_overlapped.h"
#include "kernels/cuda/report.h"

// From a call to the kernels for Hopper: what it must be, which size of kernel makes it, and on which grid.
namespace lowbit::kernels::cuda {

/// Splits of the columns, and the memory that they need: `tokens` change them only where blocks are of another size.
struct HopperSchedule {
  int block_tokens;
  int row_blocks;
  int token_blocks;
  int splits;

  /// Of `Hopper`, or of `HopperOverlapped`.
  HopperSchedule(const Matrix& weight, int tokens, int multiprocessors, bool overlapped = false)
      : block_tokens(hopper_tokens(tokens)),
        row_blocks(blocks_for(tiles_of(weight), 2 * kGroupWarps)),
        token_blocks(blocks_for(tokens, block_tokens)),
        splits(1) {
    // As many blocks as a multiprocessor holds, and for each as many chunks as it has stages.
    const int held = block_tokens <= 32 && !overlapped ? 2 : 1;
    if (token_blocks == 1) {
      splits = std::clamp(held * multiprocessors / row_blocks, 1, std::max(chunks_of(weight) / 6, 1));
    }
  }
  [[nodiscard]] std::size_t partial_floats(const Matrix& weight, int tokens) const {
    return splits == 1 ? 0
                       : static_cast<std::size_t>(splits) * static_cast<std::size_t>(tokens) *
                             static_cast<std::size_t>(weight.rows);
  }
  /// Blocks of rows come in pairs where they share activations.
  [[nodiscard]] std::size_t arrivals() const {
    return splits == 1 ? 0
                       : static_cast<std::size_t>(row_blocks + row_blocks % 2) * static_cast<std::size_t>(token_blocks);
  }
};

namespace detail {

/// Of `Kernel::For<token tiles>`, of the size that the tokens take. Clusters are whole.
template <typename Kernel, typename Launcher>
bool dispatch_hopper_sizes(const HalfProduct& call, Launcher& launcher) {
  const auto launch = [&]<int kTokenTiles>() {
    using Sized = typename Kernel::template For<kTokenTiles>;
    const int clusters = blocks_for(tiles_of(call.weight), Sized::kBlockTiles * Sized::kClusterBlocks);
    const GridSize grid = {{clusters * Sized::kClusterBlocks, call.splits, blocks_for(call.tokens, Sized::kTokens)},
                           Sized::kSharedWords * sizeof(std::uint32_t)};
    return launcher.template launch<Sized>(grid, call);
  };
  switch (hopper_tokens(call.tokens)) {
    case 16: return launch.template operator()<2>();
    case 32: return launch.template operator()<4>();
    case 64: return launch.template operator()<8>();
    default: return launch.template operator()<16>();
  }
}

template <typename Number, int kBits>
struct HopperSizes {
  template <int kTokenTiles>
  using For = Hopper<kBits, Number, kTokenTiles>;
};
template <typename Number, int kBits>
struct OverlappedSizes {
  template <int kTokenTiles>
  using For = HopperOverlapped<kBits, Number, kTokenTiles>;
};

}  // namespace detail

template <typename Number, int kBits, typename Launcher>
bool dispatch_hopper(const HalfProduct& call, Launcher& launcher) {
  return detail::dispatch_hopper_sizes<detail::HopperSizes<Number, kBits>>(call, launcher);
}

template <typename Number, int kBits, typename Launcher>
bool dispatch_hopper_overlapped(const HalfProduct& call, Launcher& launcher) {
  return detail::dispatch_hopper_sizes<detail::OverlappedSizes<Number, kBits>>(call, launcher);
}

template <typename Launcher>
bool dispatch_arrange_operands(const OperandCall& call, Launcher& launcher) {
  const int chunks = blocks_for(call.steps, kChunkSteps);
  const int steps_at_once = ArrangeOperands::kThreads / call.block_tokens;
  return launcher.template launch<ArrangeOperands>(
      {{blocks_for(call.tokens, call.block_tokens), blocks_for(chunks * kChunkSteps, steps_at_once), 1}, 0}, call);
}

template <int kBits, typename Launcher>
bool dispatch_hopper_bytes(const IntegerProduct& call, Launcher& launcher) {
  const auto launch = [&]<int kTokenTiles>() {
    using Kernel = HopperBytes<kBits, kTokenTiles>;
    const int clusters = blocks_for(tiles_of(call.weight), Kernel::kBlockTiles * Kernel::kClusterBlocks);
    return launcher.template launch<Kernel>(
        {{clusters * Kernel::kClusterBlocks, blocks_for(call.tokens, Kernel::kTokens), 1},
         Kernel::kSharedWords * sizeof(std::uint32_t)},
        call);
  };
  switch (hopper_byte_tokens(call.tokens)) {
    case 64: return launch.template operator()<8>();
    case 128: return launch.template operator()<16>();
    default: return launch.template operator()<32>();
  }
}

template <typename Launcher>
bool dispatch_arrange_bytes(const ByteOperandCall& call, Launcher& launcher) {
  const int chunks = blocks_for(call.steps, kChunkSteps);
  const int steps_at_once = ArrangeBytes::kThreads / call.block_tokens;
  return launcher.template launch<ArrangeBytes>(
      {{blocks_for(call.tokens, call.block_tokens), blocks_for(chunks * kChunkSteps, steps_at_once), 1}, 0}, call);
}

}  // namespace lowbit::kernels::cuda
