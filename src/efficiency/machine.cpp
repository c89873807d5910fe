#include "lowbit/efficiency/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "efficiency/gpu_meter.h"
#include "lowbit/base/json.h"
#include "lowbit/tensor/device_peaks.h"
#include "lowbit/tensor/packed.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

constexpr int kPasses = 60;
constexpr double kGiga = 1e9;

MachinePeaks host_facts() {
  MachinePeaks peaks;
  peaks.processor = processor_name();
  peaks.threads = thread_count();
  double loads[1] = {};
  if (::getloadavg(loads, 1) == 1) peaks.load_average = loads[0];
  return peaks;
}

}  // namespace

double MachinePeaks::operations_per_second(std::string_view arithmetic) const {
  return kernels::peak_of(units, arithmetic) * (device.empty() ? threads : 1);
}

MachinePeaks probe_machine(const std::vector<std::int64_t>& sizes) {
  MachinePeaks peaks = host_facts();
  for (const std::int64_t size : sizes) {
    kernels::ReadProbe probe(static_cast<std::size_t>(size), pool_executor());
    peaks.bandwidths.emplace_back(size, probe.best(kPasses));
  }
  peaks.units = kernels::unit_peaks();
  return peaks;
}

MachinePeaks probe_device(at::Device device, const std::vector<std::int64_t>& sizes) {
  MachinePeaks peaks = host_facts();
  const std::string name = device.is_cuda() ? GpuMeter(device.index()).name() : "";
  peaks.device = name.empty() ? device.str() : fmt::format("{}, {}", name, device.str());
  for (const std::int64_t size : sizes) peaks.bandwidths.emplace_back(size, copy_bandwidth(device, size));
  for (const DeviceRate& rate : product_rates(device)) {
    peaks.units.push_back({rate.arithmetic + " products, LibTorch", rate.operations_per_second});
  }
  return peaks;
}

std::string gpu_names() { return gpu_names("libcuda.so.1", "libnvidia-ml.so.1"); }

std::string machine_json(const MachinePeaks& peaks) {
  Json json = {{"processor", peaks.processor}, {"threads", peaks.threads}, {"load_average", peaks.load_average}};
  if (!peaks.device.empty()) json["device"] = peaks.device;
  json["bandwidths"] = Json::array();
  for (const auto& [bytes, bandwidth] : peaks.bandwidths) {
    json["bandwidths"].push_back({{"bytes", bytes}, {"bytes_per_second", bandwidth}});
  }
  Json& units = json[peaks.device.empty() ? "peaks_of_one_thread" : "peaks_of_the_device"];
  units = Json::object();
  for (const kernels::UnitPeak& unit : peaks.units) units[unit.name] = unit.operations_per_second;
  return json.dump(2) + "\n";
}

std::string machine_table(const MachinePeaks& peaks) {
  std::string text = fmt::format("{}, {} threads, load {:.1f}\n", peaks.processor, peaks.threads, peaks.load_average);
  const bool own = peaks.device.empty();
  if (!own) text += peaks.device + "\n";
  for (const auto& [bytes, bandwidth] : peaks.bandwidths) {
    text += fmt::format("{} {:>6.1f} GB/s {} {} MiB\n", own ? "reads" : "copies", bandwidth / kGiga,
                        own ? "from" : "of", bytes >> 20);
  }
  for (const kernels::UnitPeak& unit : peaks.units) {
    text +=
        fmt::format("{:>7.0f} Gop/s{}, {}\n", unit.operations_per_second / kGiga, own ? " a thread" : "", unit.name);
  }
  return text;
}

}  // namespace lowbit
