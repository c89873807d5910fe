#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "lowbit/kernels/api.h"

namespace lowbit::kernels {

/// Runs `body(begin, end)` over parts of 0..count-1 through the caller's threads.
template <typename Body>
void run_parts(const Executor& executor, std::int64_t count, Body&& body) {
  if (count == 0) return;
  if (executor.parallel_for == nullptr || count == 1) {
    body(0, count);
    return;
  }
  const auto call = [](void* state, std::int64_t begin, std::int64_t end) {
    (*static_cast<std::remove_reference_t<Body>*>(state))(begin, end);
  };
  executor.parallel_for(executor.context, count, call, &body);
}

/// As `run_parts`, in parts of `grain` that each thread takes as it gets to them: a thread that is slower than others, or
/// has other work, holds nobody up.
template <typename Body>
void share_out(const Executor& executor, std::int64_t count, std::int64_t grain, Body&& body) {
  std::atomic<std::int64_t> next{0};
  run_parts(executor, count, [&](std::int64_t, std::int64_t) {
    for (std::int64_t begin = next.fetch_add(grain); begin < count; begin = next.fetch_add(grain)) {
      body(begin, begin + grain < count ? begin + grain : count);
    }
  });
}

}  // namespace lowbit::kernels
