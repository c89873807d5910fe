#include "lowbit/efficiency/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "lowbit/base/json.h"
#include "lowbit/tensor/packed.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

constexpr int kPasses = 60;
constexpr double kGiga = 1e9;

double unit_peak(const MachinePeaks& peaks, std::string_view type) {
  double best = 0;
  for (const kernels::UnitPeak& unit : peaks.units) {
    if (std::string_view(unit.name).starts_with(type)) best = std::max(best, unit.operations_per_second);
  }
  return best * peaks.threads;
}

}  // namespace

// A number of 16 bits is multiplied as two bytes, or in units for words.
double MachinePeaks::operations_per_second(std::string_view arithmetic) const {
  if (arithmetic == "int16") return std::max(unit_peak(*this, "int16"), unit_peak(*this, "int8") / 2);
  return unit_peak(*this, arithmetic);
}

MachinePeaks probe_machine(const std::vector<std::int64_t>& sizes) {
  MachinePeaks peaks;
  peaks.processor = processor_name();
  peaks.threads = thread_count();
  double loads[1] = {};
  if (::getloadavg(loads, 1) == 1) peaks.load_average = loads[0];
  for (const std::int64_t size : sizes) {
    peaks.bandwidths.emplace_back(size,
                                  kernels::read_bandwidth(static_cast<std::size_t>(size), kPasses, pool_executor()));
  }
  peaks.units = kernels::unit_peaks();
  return peaks;
}

std::string machine_json(const MachinePeaks& peaks) {
  Json json = {{"processor", peaks.processor}, {"threads", peaks.threads}, {"load_average", peaks.load_average}};
  json["bandwidths"] = Json::array();
  for (const auto& [bytes, bandwidth] : peaks.bandwidths) {
    json["bandwidths"].push_back({{"bytes", bytes}, {"bytes_per_second", bandwidth}});
  }
  json["peaks_of_one_thread"] = Json::object();
  for (const kernels::UnitPeak& unit : peaks.units) json["peaks_of_one_thread"][unit.name] = unit.operations_per_second;
  return json.dump(2) + "\n";
}

std::string machine_table(const MachinePeaks& peaks) {
  std::string text = fmt::format("{}, {} threads, load {:.1f}\n", peaks.processor, peaks.threads, peaks.load_average);
  for (const auto& [bytes, bandwidth] : peaks.bandwidths) {
    text += fmt::format("reads {:>6.1f} GB/s from {} MiB\n", bandwidth / kGiga, bytes >> 20);
  }
  for (const kernels::UnitPeak& unit : peaks.units) {
    text += fmt::format("{:>7.0f} Gop/s a thread, {}\n", unit.operations_per_second / kGiga, unit.name);
  }
  return text;
}

}  // namespace lowbit
