#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lowbit/calibration/statistics.h"
#include "lowbit/quantization/steps.h"

namespace lowbit {

/// Statistics of a block's groups while its block steps run: collected when first asked for, carried along through what
/// the steps do to the inputs, collected again where that is not possible.
class StatisticsCache {
 public:
  /// All groups of the block's present state, in one pass over a stream.
  using Collect = std::function<std::map<std::string, Statistics, std::less<>>(const StatisticsNeeds&)>;
  /// `of_float` and `of_quantized`: what all steps together want to know of each stream.
  StatisticsCache(StatisticsNeeds of_float, StatisticsNeeds of_quantized, Collect collect)
      : needs_{of_float, of_quantized}, collect_(std::move(collect)) {}

  [[nodiscard]] const Statistics& get(Stream stream, std::string_view group);
  void apply(const std::vector<StatisticsEffect>& effects);

 private:
  void apply(const StatisticsEffect& effect, std::size_t stream);
  StatisticsNeeds needs_[2];  // by stream
  Collect collect_;
  std::map<std::string, Statistics, std::less<>> known_[2];
};

}  // namespace lowbit
