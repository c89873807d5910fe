#pragma once

#include <cstdint>
#include <functional>

namespace lowbit {

/// Gives the pool its default size before its first use; later calls do nothing.
void ensure_threads();

/// Runs `unit(0) .. unit(count - 1)`, each on one thread, handed out one after the other to whichever thread is free.
void for_each_unit(std::int64_t count, const std::function<void(std::int64_t)>& unit);

}  // namespace lowbit
