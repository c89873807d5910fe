#include "experiment/memory_phases.h"

namespace lowbit {
namespace {

// Pieces beyond this are mapped one by one, and leave no holes behind.
constexpr std::int64_t kMapped = std::int64_t{32} << 20;

std::int64_t sum_of(const MemoryTerms& terms) {
  std::int64_t sum = 0;
  for (const auto& [what, bytes] : terms) sum += bytes;
  return sum;
}

}  // namespace

std::int64_t MemoryPeak::bytes() const { return sum_of(terms); }

bool leaves_holes(const Architecture& architecture, std::int64_t bytes) {
  return architecture.hidden * architecture.intermediate * bytes <= kMapped;
}

void MemoryPhases::add(const char* phase, MemoryTerms terms) {
  terms.insert(terms.begin(), {"program and libraries", baseline_});
  terms.emplace_back("buffers", buffers_);
  std::erase_if(terms, [](const auto& term) { return term.second == 0; });
  if (sum_of(terms) > peak_.bytes()) peak_ = {phase, std::move(terms)};
}

}  // namespace lowbit
