#pragma once

#include <atomic>

#include "lowbit/base/error.h"
#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// Asked between units of work; set from a signal handler or another thread.
class Cancellation {
 public:
  void request() noexcept { requested_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool requested() const noexcept { return requested_.load(std::memory_order_relaxed); }
  /// Throws `kInterrupted` once it was requested.
  void check() const {
    if (requested()) fail(ErrorCode::kInterrupted, "interrupted; run the same command again to continue");
  }

 private:
  std::atomic<bool> requested_{false};
};

}  // namespace lowbit
