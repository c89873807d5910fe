#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lowbit/base/cancellation.h"

namespace lowbit {

/// How a child process ended.
struct ProcessEnd {
  int exit_code = 0;  ///< -1 when a signal ended it
  int signal = 0;
};

/// Spawns `program` (never forks: LibTorch's threads do not survive that) with our standard streams and waits for it.
/// A cancellation is handed on as SIGTERM. Throws `kIo` when it cannot be started.
[[nodiscard]] ProcessEnd run_process(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                                     const Cancellation& cancellation);

}  // namespace lowbit
