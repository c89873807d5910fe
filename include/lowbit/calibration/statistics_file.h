#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "lowbit/base/export.h"
#include "lowbit/calibration/statistics.h"

namespace lowbit LOWBIT_EXPORT {

/// Statistics by the name of the group of linears whose input they describe.
using StatisticsByGroup = std::map<std::string, Statistics, std::less<>>;

/// Whether files can hold statistics of these needs: Hessians and channel ranges.
[[nodiscard]] bool can_be_stored(const StatisticsNeeds& needs);
/// A safetensors file, written atomically: of each group `<group>.gram` (float64, the lower triangle's rows one after
/// the other), `<group>.min`, `<group>.max` and `<group>.abs_sum`, as far as they were asked for, and `<group>.tokens`.
/// Bits are kept. `statistics` are of one stream, none of them mapped, and of needs that can be stored.
void write_statistics(const std::filesystem::path& path, const StatisticsByGroup& statistics);
/// Throws `kData`, naming file and tensor, when it is damaged or no such file; `stream` is what the statistics will say
/// that they are of.
[[nodiscard]] StatisticsByGroup read_statistics(const std::filesystem::path& path, Stream stream);

}  // namespace LOWBIT_EXPORT
