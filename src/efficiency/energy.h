#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lowbit {

/// Energy of the processor's packages, where the system tells it (Intel's and AMD's RAPL counters).
class EnergyMeter {
 public:
  explicit EnergyMeter(const std::filesystem::path& folder = "/sys/class/powercap");
  /// Why nothing can be read; empty when it can.
  [[nodiscard]] const std::string& obstacle() const { return obstacle_; }
  /// Starts to count.
  void start();
  /// Joules since then. Counters that wrapped around once are put right.
  [[nodiscard]] double joules() const;

 private:
  struct Counter {
    std::filesystem::path file;
    double range = 0;  // microjoules at which it begins again
    double begin = 0;
  };
  std::vector<Counter> counters_;
  std::string obstacle_;
};

}  // namespace lowbit
