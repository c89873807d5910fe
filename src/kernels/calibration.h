#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

// Which of the kernels of one arithmetic is the fastest here. All give the same bits, so that a choice shows in time
// alone.
namespace lowbit::kernels {

struct Candidate {
  std::string_view backend;
  const Kernel* kernel;
  double seconds = 0;  ///< the best of a few products
};

/// The index of the candidate to use: the first (what the table says), unless another takes at most 0.9 of its time.
[[nodiscard]] std::size_t choose_candidate(std::span<const Candidate> candidates);

/// The kernel for `tokens` tokens of a machine whose fastest backend is `table`. Products of the sizes that are asked
/// for are measured at their first use, once in a process, each in about a millisecond: on a matrix of 64 x 1024 in the
/// second-level cache, on this thread.
struct Calibrated {
  Candidate chosen;
  std::string reason;
};
[[nodiscard]] const Calibrated& calibrated_kernel(const Backend& table, Arithmetic arithmetic, int packed_bits,
                                                  std::int64_t tokens);

/// False for "off", true for "on", null or empty; throws `kConfig` for others.
[[nodiscard]] bool wants_calibration(const char* variable);

}  // namespace lowbit::kernels
