#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/progress.h"
#include "lowbit/efficiency/gemm.h"

namespace lowbit LOWBIT_EXPORT {

struct PackingBenchOptions {
  std::int64_t rows = 4096;
  std::int64_t columns = 4096;
  std::vector<int> bits = {2, 3, 4, 8};
  std::vector<std::int64_t> groups = {128};  ///< -1: one a row
  int repetitions = 15;
};

/// One weight: packed, and beside it, in the same round, as many bytes copied.
struct PackingTiming {
  int bits = 0;
  std::int64_t group = 0;
  std::int64_t bytes = 0;  ///< read (codes of a byte, scales, zeros) and written
  Spread packing = {};     ///< into memory of its own, as every weight is packed
  Spread fresh_copy = {};  ///< memcpy of half of `bytes` into memory that the system hands over
  Spread warm_copy = {};   ///< likewise into memory that is there
  double page_faults = 0;  ///< of packing one weight, the mean
};

struct PackingBench {
  PackingBenchOptions options;
  int threads = 0;
  std::string processor;
  double load_average = 0;     ///< over the minute before
  double processor_share = 0;  ///< as in `GemmBench`, of one thread
  std::vector<PackingTiming> timings = {};
};

/// Times `PackedWeight::pack` on all threads of the pool beside copies on one. Throws `kConfig` for options that make
/// no sense.
[[nodiscard]] PackingBench run_packing_bench(const PackingBenchOptions& options, Progress& progress);
/// As JSON, seconds and bytes unrounded.
[[nodiscard]] std::string packing_bench_json(const PackingBench& bench);
/// As a table for a terminal of 100 columns.
[[nodiscard]] std::string packing_bench_table(const PackingBench& bench);

}  // namespace lowbit
