#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "lowbit/calibration/statistics_file.h"
#include "lowbit/quantization/driver.h"

namespace lowbit {

/// The folder of `QuantizeRequest::statistics` for one model, calibration set and kind of statistics: a file a block.
class SharedStatistics {
 public:
  /// Null when the request names no folder or its recipe cannot share.
  [[nodiscard]] static std::unique_ptr<SharedStatistics> open(const QuantizeRequest& request);

  /// What is collected of each group: all that the recipe asks for anywhere.
  [[nodiscard]] const StatisticsNeeds& needs() const { return needs_; }
  /// Whether all blocks are there, so that no token need pass the model.
  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] bool has(std::int64_t block) const;
  [[nodiscard]] StatisticsByGroup read(std::int64_t block) const;
  void write(std::int64_t block, const StatisticsByGroup& statistics) const;

 private:
  SharedStatistics(std::filesystem::path folder, StatisticsNeeds needs, std::int64_t blocks);
  [[nodiscard]] std::filesystem::path file(std::int64_t block) const;
  std::filesystem::path folder_;
  StatisticsNeeds needs_;
  bool complete_ = true;
};

}  // namespace lowbit
