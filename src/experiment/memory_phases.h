#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/experiment/plan.h"

namespace lowbit {

inline constexpr std::int64_t kDouble = sizeof(double);

/// What is held at one time, by name, in bytes.
using MemoryTerms = std::vector<std::pair<std::string, std::int64_t>>;

/// A linear layer of each block.
struct BlockLinear {
  std::string name;
  std::int64_t out;
  std::int64_t in;
  [[nodiscard]] std::int64_t elements() const { return out * in; }
};

/// Whether weights of so many bytes an element are pieces that are not given back whole: what is freed is then of no
/// use to wider ones, as much as was seen.
[[nodiscard]] bool leaves_holes(const Architecture& architecture, std::int64_t bytes);

/// Keeps the phase that takes most, and what every phase holds.
class MemoryPhases {
 public:
  MemoryPhases(std::int64_t baseline, std::int64_t buffers) : baseline_(baseline), buffers_(buffers) {}
  void add(const char* phase, MemoryTerms terms);
  [[nodiscard]] const MemoryPeak& peak() const { return peak_; }

 private:
  std::int64_t baseline_;
  std::int64_t buffers_;
  MemoryPeak peak_;
};

}  // namespace lowbit
