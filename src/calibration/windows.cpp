#include "calibration/windows.h"

#include <numeric>
#include <set>
#include <utility>

#include "lowbit/base/error.h"

namespace lowbit {

// Squeezing every window to one place maps placements of disjoint windows to subsets of `places`, one to one. The
// subset is drawn by Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", CACM 1987).
std::vector<std::int64_t> draw_disjoint_windows(std::int64_t tokens, std::int64_t length, std::int64_t count,
                                                const Random& random) {
  LOWBIT_ASSERT(length > 0 && count >= 0 && tokens / length >= count);
  const std::int64_t places = tokens - count * (length - 1);
  std::set<std::int64_t> chosen;
  for (std::int64_t i = places - count; i < places; ++i) {
    const auto bound = static_cast<std::uint64_t>(i) + 1;
    const auto place = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(i - (places - count)), bound));
    if (!chosen.insert(place).second) chosen.insert(i);
  }
  std::vector<std::int64_t> offsets;
  for (const std::int64_t place : chosen) {
    offsets.push_back(place + static_cast<std::int64_t>(offsets.size()) * (length - 1));
  }
  return offsets;
}

std::vector<std::int64_t> draw_windows(std::int64_t tokens, std::int64_t length, std::int64_t count,
                                       const Random& random) {
  LOWBIT_ASSERT(length > 0 && tokens >= length);
  std::vector<std::int64_t> offsets;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto bound = static_cast<std::uint64_t>(tokens - length) + 1;
    offsets.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(i), bound)));
  }
  return offsets;
}

std::vector<std::int64_t> identity_order(std::int64_t count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

std::vector<std::int64_t> draw_order(std::int64_t count, const Random& random) {
  std::vector<std::int64_t> order = identity_order(count);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i, i)]);
  return order;
}

}  // namespace lowbit
