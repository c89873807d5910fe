#include "lowbit/efficiency/packing.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

#include "efficiency/clock.h"
#include "efficiency/gemm_operands.h"
#include "efficiency/median.h"
#include "lowbit/base/error.h"
#include "lowbit/base/json.h"
#include "lowbit/efficiency/machine.h"
#include "lowbit/kernels/api.h"
#include "lowbit/tensor/packed.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

using kernels::PackedWeight;

void check(const PackingBenchOptions& options) {
  constexpr std::int64_t kMost = 65536;
  if (options.rows < 1 || options.rows > kMost || options.columns < 1 || options.columns > kMost) {
    fail(ErrorCode::kConfig, "bench packing: the matrix is {} x {}, expected 1 to {} each", options.rows,
         options.columns, kMost);
  }
  if (options.repetitions < 3) {
    fail(ErrorCode::kConfig, "bench packing: {} repetitions, expected at least 3 for a median", options.repetitions);
  }
  for (const int bits : options.bits) {
    if (bits < 2 || bits > 8) fail(ErrorCode::kConfig, "bench packing: {} bits, expected 2 to 8", bits);
  }
  for (const std::int64_t group : options.groups) {
    if (group != -1 && group < 1) {
      fail(ErrorCode::kConfig, "bench packing: groups of {} columns, expected at least 1, or -1 for one a row", group);
    }
  }
}

std::int64_t page_faults() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

// Memory that nobody has touched.
class FreshMemory {
 public:
  explicit FreshMemory(std::size_t bytes)
      : bytes_(bytes), data_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (data_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~FreshMemory() { ::munmap(data_, bytes_); }
  FreshMemory(const FreshMemory&) = delete;
  FreshMemory& operator=(const FreshMemory&) = delete;
  [[nodiscard]] void* data() const { return data_; }

 private:
  std::size_t bytes_;
  void* data_;
};

template <typename Run>
double seconds_of(Run run) {
  const double start = wall_seconds();
  run();
  return wall_seconds() - start;
}

std::int64_t canonical_bytes(const kernels::CanonicalWeight& weight) {
  return static_cast<std::int64_t>(weight.codes.size_bytes() + weight.scales.size_bytes() + weight.zeros.size_bytes());
}

PackingTiming time_packing(const PackingBenchOptions& options, int bits, std::int64_t group) {
  GemmBenchOptions shape;
  shape.rows = options.rows;
  shape.columns = options.columns;
  const kernels::UnpackedWeight weight = random_weight(shape, bits, group).unpack();
  PackingTiming timing{.bits = bits, .group = group};
  timing.bytes = canonical_bytes(weight.view()) + PackedWeight::pack(weight.view()).bytes();
  const auto half = static_cast<std::size_t>(timing.bytes / 2);
  const std::vector<std::byte> source(half, std::byte{1});
  std::vector<std::byte> warm(half);
  std::vector<double> packing, fresh_copy, warm_copy;
  std::int64_t faults = 0;
  for (int round = 0; round <= options.repetitions; ++round) {
    const std::int64_t before = page_faults();
    const double packed = seconds_of([&] { (void)PackedWeight::pack(weight.view(), pool_executor()); });
    const std::int64_t own = page_faults() - before;
    const double fresh = seconds_of([&] { std::memcpy(FreshMemory(half).data(), source.data(), half); });
    const double again = seconds_of([&] { std::memcpy(warm.data(), source.data(), half); });
    if (round == 0) continue;
    faults += own;
    packing.push_back(packed);
    fresh_copy.push_back(fresh);
    warm_copy.push_back(again);
  }
  timing.page_faults = static_cast<double>(faults) / options.repetitions;
  timing.packing = spread_of_seconds(packing);
  timing.fresh_copy = spread_of_seconds(fresh_copy);
  timing.warm_copy = spread_of_seconds(warm_copy);
  return timing;
}

Json spread_json(const Spread& spread) {
  return {{"median", spread.median}, {"fastest", spread.fastest}, {"slowest", spread.slowest}};
}

}  // namespace

PackingBench run_packing_bench(const PackingBenchOptions& options, Progress& progress) {
  check(options);
  PackingBench bench{.options = options, .threads = thread_count(), .processor = processor_name()};
  double loads[1] = {};
  if (::getloadavg(loads, 1) == 1) bench.load_average = loads[0];
  const auto task =
      progress.start("measuring", static_cast<std::int64_t>(options.bits.size() * options.groups.size()), "weights");
  const double wall = wall_seconds();
  const double processor = processor_seconds();
  for (const int bits : options.bits) {
    for (const std::int64_t group : options.groups) {
      bench.timings.push_back(time_packing(options, bits, group));
      task->advance();
    }
  }
  bench.processor_share = (processor_seconds() - processor) / (wall_seconds() - wall);
  return bench;
}

std::string packing_bench_json(const PackingBench& bench) {
  Json json = {{"rows", bench.options.rows},
               {"columns", bench.options.columns},
               {"repetitions", bench.options.repetitions},
               {"processor", bench.processor},
               {"threads", bench.threads},
               {"load_average", bench.load_average},
               {"processor_share", bench.processor_share},
               {"timings", Json::array()}};
  for (const PackingTiming& timing : bench.timings) {
    json["timings"].push_back({{"bits", timing.bits},
                               {"group", timing.group},
                               {"bytes", timing.bytes},
                               {"packing_seconds", spread_json(timing.packing)},
                               {"fresh_copy_seconds", spread_json(timing.fresh_copy)},
                               {"warm_copy_seconds", spread_json(timing.warm_copy)},
                               {"page_faults", timing.page_faults}});
  }
  return json.dump(2) + "\n";
}

std::string packing_bench_table(const PackingBench& bench) {
  std::string text = fmt::format("{} x {} on {}, {} threads, load {:.1f}, {:.0f} % of a processor's time\n",
                                 bench.options.rows, bench.options.columns, bench.processor, bench.threads,
                                 bench.load_average, 100 * bench.processor_share);
  text += fmt::format("\n{:<22} {:>8} {:>10} {:>6} {:>7} {:>7}  {:>16} {:>16}\n", "weight", "MB", "median ms", "+- %",
                      "GB/s", "faults", "of fresh memcpy", "of warm memcpy");
  for (const PackingTiming& timing : bench.timings) {
    const double seconds = timing.packing.median;
    const std::string name = timing.group == -1 ? fmt::format("{} bits, one a row", timing.bits)
                                                : fmt::format("{} bits, group {}", timing.bits, timing.group);
    text += fmt::format("{:<22} {:>8.1f} {:>10.3f} {:>6.0f} {:>7.1f} {:>7.0f}  {:>14.0f} % {:>14.0f} %\n", name,
                        static_cast<double>(timing.bytes) / 1e6, 1e3 * seconds,
                        100 * (timing.packing.slowest - timing.packing.fastest) / (2 * seconds),
                        static_cast<double>(timing.bytes) / seconds / 1e9, timing.page_faults,
                        100 * timing.fresh_copy.median / seconds, 100 * timing.warm_copy.median / seconds);
  }
  return text;
}

}  // namespace lowbit
