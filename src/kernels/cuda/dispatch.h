#pragma once

#include "kernels/cuda/expand.h"
#include "kernels/cuda/integer_skinny.h"
#include "kernels/cuda/quantize.h"
#include "kernels/cuda/round_float8.h"
#include "kernels/cuda/schedule.h"
#include "kernels/cuda/table.h"
#include "kernels/cuda/tiled.h"
#include "kernels/cuda/tiled_integer.h"

// From a call to the kernel that makes it and the size of its grid. `launcher.launch<Kernel>(grid, call)` starts it: on
// a GPU, or in the tests on the model of one.
namespace lowbit::kernels::cuda {

struct GridSize {
  int blocks[3];
  std::size_t shared_bytes;
  int cluster = 1;  ///< blocks side by side that see each other's shared memory
};

constexpr int blocks_for(int count, int size) { return (count + size - 1) / size; }

template <typename Number, int kBits, typename Launcher>
bool dispatch_skinny(const HalfProduct& call, Launcher& launcher) {
  const SkinnySchedule schedule = schedule_skinny(call.weight, call.tokens, 1);  // the call holds its own splits
  const auto launch = [&]<int kTokenTiles>() {
    using Kernel = Skinny<kBits, Number, kTokenTiles>;
    const GridSize grid = {{schedule.row_blocks, call.splits, schedule.token_blocks},
                           Kernel::kSharedFloats * sizeof(float)};
    return launcher.template launch<Kernel>(grid, call);
  };
  if (schedule.token_tiles == 1) return launch.template operator()<1>();
  if constexpr (has_token_tiles(kBits, 2)) {
    if (schedule.token_tiles == 2) return launch.template operator()<2>();
  }
  if constexpr (has_token_tiles(kBits, 8)) {
    if (schedule.token_tiles == 8) return launch.template operator()<8>();
  }
  return launch.template operator()<4>();
}

/// FP8's numbers are one operand each, those of NF4 two.
template <typename Number, int kBits, typename Launcher>
bool dispatch_table(const HalfProduct& call, Launcher& launcher) {
  using Weights = TableNumbers<Number, kBits == 4 ? 2 : 1>;
  const SkinnySchedule schedule = schedule_skinny(call.weight, call.tokens, 1);
  const auto launch = [&]<int kTokenTiles>() {
    using Kernel = Skinny<kBits, Weights, kTokenTiles>;
    const GridSize grid = {{schedule.row_blocks, call.splits, schedule.token_blocks},
                           Kernel::kSharedFloats * sizeof(float)};
    return launcher.template launch<Kernel>(grid, call);
  };
  return schedule.token_tiles == 1 ? launch.template operator()<1>() : launch.template operator()<4>();
}

template <typename Number, int kBits, typename Launcher>
bool dispatch_tiled(const HalfProduct& call, Launcher& launcher) {
  using Kernel = Tiled<kBits, Number>;
  const GridSize grid = {
      {blocks_for(tiles_of(call.weight), Kernel::kBlockTiles), blocks_for(call.tokens, Kernel::kBlockTokens), 1},
      Kernel::kSharedWords * sizeof(std::uint32_t)};
  return launcher.template launch<Kernel>(grid, call);
}

template <typename Number, int kBits, typename Launcher>
bool dispatch_expand(const ExpandCall& call, Launcher& launcher) {
  using Kernel = Expand<kBits, Number>;
  const GridSize grid = {{tiles_of(call.weight), blocks_for(chunks_of(call.weight), Kernel::kThreads / kLanes), 1}, 0};
  return launcher.template launch<Kernel>(grid, call);
}

/// Few tokens by the kernel for them where its links fit into shared memory.
template <int kPlanes, int kBits, typename Launcher>
bool dispatch_integer(const IntegerProduct& call, Launcher& launcher) {
  using Few = SkinnyInteger<kBits, kPlanes>;
  if (Few::takes(call.weight, call.tokens)) {
    const std::size_t bytes = static_cast<std::size_t>(Few::shared_words(call.weight, call.tokens)) * sizeof(float);
    return launcher.template launch<Few>(GridSize{{tiles_of(call.weight), 1, 1}, bytes}, call);
  }
  const auto launch = [&]<int kTokenTiles>() {
    using Kernel = Integer<kBits, kPlanes, kTokenTiles>;
    const GridSize grid = {{tiles_of(call.weight), blocks_for(call.tokens, Kernel::kTokens), 1},
                           static_cast<std::size_t>(Kernel::shared_words(call.weight.group_steps)) * sizeof(float)};
    return launcher.template launch<Kernel>(grid, call);
  };
  return choose_integer_tiles(call.tokens) == 1 ? launch.template operator()<1>() : launch.template operator()<4>();
}

template <int kBits, typename Launcher>
bool dispatch_integer_tiles(const IntegerProduct& call, Launcher& launcher) {
  using Kernel = TiledInteger<kBits>;
  const GridSize grid = {
      {blocks_for(tiles_of(call.weight), Kernel::kBlockTiles), blocks_for(call.tokens, Kernel::kBlockTokens), 1},
      Kernel::kSharedWords * sizeof(std::uint32_t)};
  return launcher.template launch<Kernel>(grid, call);
}

/// Whether each token has a warp, which keeps such short rows in registers.
constexpr bool rounds_by_warps(const TokenRowsCall& call) { return call.tokens >= 16 && call.steps <= 32; }

template <int kPlanes, typename Launcher>
bool dispatch_quantize(const QuantizeCall& call, Launcher& launcher) {
  const auto launch = [&]<int kTokenWarps, RowsToRound kRows = RowsToRound::kPlain>() {
    using Kernel = Quantize<kPlanes, kTokenWarps, kRows>;
    const GridSize grid = {{blocks_for(call.tokens, Kernel::kTokens), 1, 1},
                           static_cast<std::size_t>(Kernel::shared_words(call.steps)) * sizeof(std::uint32_t)};
    return launcher.template launch<Kernel>(grid, call);
  };
  if constexpr (kPlanes == 1) {
    if (call.rows == RowsToRound::kNormed) return launch.template operator()<8, RowsToRound::kNormed>();
    if (call.rows == RowsToRound::kGated) return launch.template operator()<8, RowsToRound::kGated>();
  }
  return rounds_by_warps(call) ? launch.template operator()<1>() : launch.template operator()<8>();
}

template <typename Launcher>
bool dispatch_round_float8(const RoundFloat8Call& call, Launcher& launcher) {
  const auto launch = [&]<typename Kernel>() {
    return launcher.template launch<Kernel>(
        {{blocks_for(call.tokens, Kernel::kTokens), 1, 1}, Kernel::kSharedWords * sizeof(std::uint32_t)}, call);
  };
  return rounds_by_warps(call) ? launch.template operator()<RoundFloat8<1>>()
                               : launch.template operator()<RoundFloat8<8>>();
}

template <typename Launcher>
bool dispatch_arrange(const ArrangeCall& call, Launcher& launcher) {
  return launcher.template launch<Arrange>({{call.tokens, 1, 1}, 0}, call);
}

}  // namespace lowbit::kernels::cuda
