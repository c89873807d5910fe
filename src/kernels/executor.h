#pragma once

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

}  // namespace lowbit::kernels
