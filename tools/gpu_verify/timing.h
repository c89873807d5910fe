#pragma once

#include <algorithm>
#include <vector>

#include "device.h"
#include "results.h"
#include "stages.h"

// What the measurements share that are no contests between entrants.
namespace lowbit::gpu_verify {

/// A million numbers over and over, since drawing them takes longer than reading them.
template <typename T>
std::vector<T> repeated(std::size_t count, const std::vector<T>& numbers) {
  std::vector<T> result(count);
  for (std::size_t at = 0; at < count; at += numbers.size()) {
    std::copy_n(numbers.begin(), std::min(numbers.size(), count - at),
                result.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return result;
}

/// Microseconds of one of the graph's `parts`, for each of the repetitions.
[[nodiscard]] std::vector<double> timed(const Graph& graph, const Settings& settings, int parts = 1);

/// GB/s of a copy within the GPU, reads and writes counted: what all memory rates are compared with.
[[nodiscard]] double copy_rate(const Gpu& gpu, const Settings& settings);

/// Adds median, least and most, and the rate of `bytes`.
void write_times(std::vector<double> microseconds, double bytes, double copy_rate, Record record, Results& results);

}  // namespace lowbit::gpu_verify
