#pragma once

#include <cstdint>
#include <functional>

namespace lowbit {

/// Gives the pool its default size before its first use; later calls do nothing.
void ensure_threads();

/// Runs `unit(0) .. unit(count - 1)`, each on one thread, handed out one after the other to whichever thread is free.
/// `work`, in multiply-adds or what takes as long, decides how many threads are worth waking; inside a unit LibTorch
/// has one thread even when the units do not share their work.
void for_each_unit(std::int64_t count, double work, const std::function<void(std::int64_t)>& unit);

}  // namespace lowbit
