#include "efficiency/energy.h"

#include <fmt/format.h>

#include <fstream>
#include <optional>

namespace lowbit {
namespace {

std::optional<double> read_number(const std::filesystem::path& file) {
  std::ifstream stream(file);
  double value = 0;
  if (!(stream >> value)) return std::nullopt;
  return value;
}

// "intel-rapl:0" is a package, "intel-rapl:0:1" a part of it; both vendors' counters have this name.
bool is_package(const std::string& name) {
  return name.starts_with("intel-rapl:") && name.find(':') == name.rfind(':');
}

}  // namespace

EnergyMeter::EnergyMeter(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::path unreadable;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (!is_package(entry.path().filename().string())) continue;
    const std::filesystem::path file = entry.path() / "energy_uj";
    if (!read_number(file)) {
      unreadable = file;
      continue;
    }
    counters_.push_back({file, read_number(entry.path() / "max_energy_range_uj").value_or(0), 0});
  }
  if (!counters_.empty()) return;
  obstacle_ = unreadable.empty() ? fmt::format("'{}' has no energy counter", folder.string())
                                 : fmt::format("'{}' may not be read", unreadable.string());
}

void EnergyMeter::start() {
  for (Counter& counter : counters_) counter.begin = read_number(counter.file).value_or(0);
}

double EnergyMeter::joules() const {
  double sum = 0;
  for (const Counter& counter : counters_) {
    const double used = read_number(counter.file).value_or(counter.begin) - counter.begin;
    sum += used < 0 ? used + counter.range : used;
  }
  return sum * 1e-6;
}

}  // namespace lowbit
