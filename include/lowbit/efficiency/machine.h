#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/kernels/probe.h"

namespace lowbit LOWBIT_EXPORT {

/// What this machine could do at most, measured with the threads of the pool on random data.
struct MachinePeaks {
  std::string processor;
  std::string device = {};  ///< "NVIDIA H100, cuda:0": bandwidths and units are its; empty: the processor's
  int threads = 0;
  double load_average = 0;  ///< over the minute before
  /// Bytes that are read again and again, and bytes a second.
  std::vector<std::pair<std::int64_t, double>> bandwidths;
  std::vector<kernels::UnitPeak> units;  ///< of one thread, or of the whole device
  /// Of all threads, for products of that arithmetic ("float32", "int16", "int8"); 0 where no unit is known.
  [[nodiscard]] double operations_per_second(std::string_view arithmetic) const;
};
/// `sizes` are the buffers to read, in bytes.
[[nodiscard]] MachinePeaks probe_machine(const std::vector<std::int64_t>& sizes);
/// Of another device than the CPU: copies of `sizes` bytes, and LibTorch's products.
[[nodiscard]] MachinePeaks probe_device(at::Device device, const std::vector<std::int64_t>& sizes);
[[nodiscard]] std::string machine_json(const MachinePeaks& peaks);
[[nodiscard]] std::string machine_table(const MachinePeaks& peaks);

/// "AMD EPYC", as the system names it; "unknown" where it does not.
[[nodiscard]] std::string processor_name();
/// Of all GPUs of NVIDIA's that this program may use, in their order; empty where there is none.
[[nodiscard]] std::string gpu_names();

}  // namespace LOWBIT_EXPORT
