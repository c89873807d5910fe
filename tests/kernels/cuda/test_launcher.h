#pragma once

#include "group_emulator.h"
#include "kernels/cuda/dispatch.h"

namespace lowbit::kernels::cuda::testing {

/// What dispatching functions start kernels with, here on the model of a GPU.
template <typename Thread>
struct TestLauncher {
  std::uint64_t seed;
  template <typename Kernel, typename Call>
  bool launch(const GridSize& size, const Call& call) const {
    Grid grid = {{size.blocks[0], size.blocks[1], size.blocks[2]}, Kernel::kThreads, size.shared_bytes, size.cluster};
    if constexpr (requires { Kernel::kWaitsForLaterBlocks; }) grid.last_first = true;
    testing::launch<Thread>(grid, seed, [&](Thread& thread) { Kernel::run(thread, call); });
    return true;
  }
};

}  // namespace lowbit::kernels::cuda::testing
