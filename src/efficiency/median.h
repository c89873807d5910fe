#pragma once

#include <algorithm>
#include <vector>

#include "lowbit/efficiency/gemm.h"

namespace lowbit {

/// 0 of none.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// Of seconds, at least one run's.
inline Spread spread_of_seconds(const std::vector<double>& seconds) {
  return {median(seconds), std::ranges::min(seconds), std::ranges::max(seconds)};
}

}  // namespace lowbit
