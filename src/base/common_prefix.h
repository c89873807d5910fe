#pragma once

#include <algorithm>
#include <cstddef>

namespace lowbit {

/// How many elements two sequences begin with alike.
template <typename Sequence>
[[nodiscard]] std::size_t common_prefix(const Sequence& a, const Sequence& b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace lowbit
