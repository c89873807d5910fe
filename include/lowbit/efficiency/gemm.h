#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/progress.h"
#include "lowbit/kernels/probe.h"

namespace lowbit LOWBIT_EXPORT {

struct GemmBenchOptions {
  std::int64_t rows = 4096;
  std::int64_t columns = 4096;
  std::vector<std::int64_t> tokens = {1, 256};
  std::vector<int> bits = {4, 8};
  std::vector<std::int64_t> groups = {128};  ///< -1: one a row
  int repetitions = 15;
  std::string backend;  ///< as in kernels::Product; the CPU's
  at::Device device = at::kCPU;
};

/// Seconds of single runs.
struct Spread {
  double median = 0;
  double fastest = 0;
  double slowest = 0;
};

/// One product by one implementation.
struct GemmTiming {
  std::string name;    ///< "int8, 4 bits, group 128", "LibTorch float32"
  std::string kernel;  ///< "avx2: panels of bytes"; empty for LibTorch
  std::int64_t tokens = 0;
  bool cold = false;  ///< another copy of the weight each time, 256 MiB of them in turn; else always the same
  std::int64_t weight_bytes = 0;
  Spread seconds;
  double processor_seconds = 0;  ///< of all threads, the median: what others do to the machine changes it little
  double operations = 0;         ///< 2 tokens rows columns
  std::string arithmetic;        ///< "int8": which units can make it
  /// What reading the weight takes, and its operations, at the median rates of probes in turn with the products, by
  /// all threads. 0: not known.
  double reading_seconds = 0;
  double operating_seconds = 0;
};

struct GemmBench {
  GemmBenchOptions options;
  int threads = 0;
  std::string processor;
  std::string device;       ///< "NVIDIA H100, cuda:0"; empty for the CPU
  double load_average = 0;  ///< over the minute before
  /// Processor time over wall-clock time and threads while packed products ran; below 0.97 others were in the way.
  double processor_share = 0;
  /// Bytes a second, read from as many bytes as the smallest packed weight has; of a device: read and written by
  /// copies.
  double warm_bandwidth = 0;
  double cold_bandwidth = 0;             ///< likewise of 256 MiB
  std::vector<kernels::UnitPeak> peaks;  ///< of one thread, or of the device
  std::vector<GemmTiming> timings;
};

/// Times packed products and LibTorch's of the same shape, one of each in turn. Throws `kConfig` for options that make
/// no sense.
[[nodiscard]] GemmBench run_gemm_bench(const GemmBenchOptions& options, Progress& progress);
/// As JSON, seconds and bytes unrounded.
[[nodiscard]] std::string gemm_bench_json(const GemmBench& bench);
/// As a table for a terminal of 100 columns.
[[nodiscard]] std::string gemm_bench_table(const GemmBench& bench);

}  // namespace lowbit
