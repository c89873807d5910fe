#include "config/ranges.h"

#include <fmt/format.h>

#include <cmath>

namespace lowbit {
namespace {

template <typename Number>
std::string bounds_text(bool has_low, Number low, bool has_high, Number high) {
  if (has_low && has_high) return fmt::format("{}..{}", low, high);
  if (has_low) return fmt::format("at least {}", low);
  return has_high ? fmt::format("at most {}", high) : "";
}

}  // namespace

std::string range_text(const IntRange& range) {
  return bounds_text(range.low > std::numeric_limits<int>::min(), range.low,
                     range.high < std::numeric_limits<int>::max(), range.high);
}

std::string range_text(const RealRange& range) {
  return bounds_text(std::isfinite(range.low), range.low, std::isfinite(range.high), range.high);
}

}  // namespace lowbit
