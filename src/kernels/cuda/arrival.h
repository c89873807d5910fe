#pragma once

#include "kernels/cuda/arithmetic.h"

namespace lowbit::kernels::cuda {

/// Called by all threads of a block when what it leaves to others is written: whether it is the last one of `count`
/// that do so. The last one sees what the others wrote, and sets the counter back when it is done. `flag_at` is a word
/// of shared memory that nobody else uses.
template <typename Thread>
LOWBIT_HOST_DEVICE inline bool is_last_to_arrive(Thread& thread, std::uint32_t* counter, int count, int flag_at) {
  auto flag = thread.template shared<std::uint32_t>();
  thread.fence();
  thread.sync();
  if (thread.index() == 0) {
    const std::uint32_t before = thread.atomic_add(counter, 1U);
    flag.store(flag_at, before + 1 == static_cast<std::uint32_t>(count) ? 1U : 0U);
  }
  thread.sync();
  if (flag.load(flag_at) == 0) return false;
  thread.fence();
  return true;
}

}  // namespace lowbit::kernels::cuda
