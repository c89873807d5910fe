#include <fmt/format.h>

#include <algorithm>

#include "lowbit/base/json.h"
#include "lowbit/efficiency/gemm.h"

namespace lowbit {

namespace {

constexpr double kGiga = 1e9;

// What LibTorch needs in float32 for the same tokens, over what this one needs; 0 where that was not measured.
double over_float32(const GemmBench& bench, const GemmTiming& timing) {
  for (const GemmTiming& other : bench.timings) {
    const bool same = other.name == "LibTorch float32" && other.tokens == timing.tokens && other.cold == timing.cold;
    if (same) return other.seconds.median / timing.seconds.median;
  }
  return 0.0;
}

// How near a product comes to what bounds it: "91 reads", "70 units". Nothing where its unit is not known.
std::string share_text(const GemmTiming& timing) {
  if (timing.operating_seconds == 0) return "";
  const double bound = std::max(timing.reading_seconds, timing.operating_seconds);
  return fmt::format("{:.0f} {}", 100 * bound / timing.seconds.median,
                     timing.reading_seconds > timing.operating_seconds ? "reads" : "units");
}

std::string head_of(const GemmBench& bench) {
  const bool own = bench.device.empty();
  std::string text = fmt::format("{} x {} on ", bench.options.rows, bench.options.columns);
  if (own) {
    text += fmt::format("{}, {} threads, load {:.1f}, {:.0f} % of the processor's time\n", bench.processor,
                        bench.threads, bench.load_average, 100 * bench.processor_share);
  } else {
    text += fmt::format("{}, launched by {}, load {:.1f}\n", bench.device, bench.processor, bench.load_average);
  }
  text += fmt::format("{}: {:.1f} GB/s as warm as the weights, {:.1f} GB/s from memory\n", own ? "reads" : "copies",
                      bench.warm_bandwidth / kGiga, bench.cold_bandwidth / kGiga);
  for (const kernels::UnitPeak& peak : bench.peaks) {
    text += fmt::format("peak{}: {:.0f} G/s, {}\n", own ? " of one thread" : "", peak.operations_per_second / kGiga,
                        peak.name);
  }
  return text;
}

}  // namespace

std::string gemm_bench_json(const GemmBench& bench) {
  Json json;
  json["rows"] = bench.options.rows;
  json["columns"] = bench.options.columns;
  json["repetitions"] = bench.options.repetitions;
  json["processor"] = bench.processor;
  json["threads"] = bench.threads;
  json["load_average"] = bench.load_average;
  json["processor_share"] = bench.processor_share;
  json["warm_bandwidth"] = bench.warm_bandwidth;
  json["cold_bandwidth"] = bench.cold_bandwidth;
  if (!bench.device.empty()) json["device"] = bench.device;
  const char* const peaks = bench.device.empty() ? "peaks_of_one_thread" : "peaks_of_the_device";
  for (const kernels::UnitPeak& peak : bench.peaks) json[peaks][peak.name] = peak.operations_per_second;
  for (const GemmTiming& timing : bench.timings) {
    json["timings"].push_back({{"name", timing.name},
                               {"kernel", timing.kernel},
                               {"tokens", timing.tokens},
                               {"weight", timing.cold ? "cold" : "warm"},
                               {"weight_bytes", timing.weight_bytes},
                               {"median_seconds", timing.seconds.median},
                               {"fastest_seconds", timing.seconds.fastest},
                               {"slowest_seconds", timing.seconds.slowest},
                               {"processor_seconds", timing.processor_seconds},
                               {"operations", timing.operations},
                               {"reading_seconds", timing.reading_seconds},
                               {"operating_seconds", timing.operating_seconds}});
  }
  return json.dump(2) + "\n";
}

std::string gemm_bench_table(const GemmBench& bench) {
  std::string text = head_of(bench);
  text += fmt::format("\n{:>6} {:<4}  {:<28} {:>9} {:>5} {:>8} {:>6} {:>6} {:>10}  {}\n", "tokens", "", "product",
                      "median ms", "+- %", "cpu ms", "Gop/s", "GB/s", "% of", "x float32, kernel");
  for (const GemmTiming& timing : bench.timings) {
    const double seconds = timing.seconds.median;
    const double spread = (timing.seconds.slowest - timing.seconds.fastest) / (2 * seconds);
    text += fmt::format("{:>6} {:<4}  {:<28} {:>9.3f} {:>5.0f} {:>8.3f} {:>6.0f} {:>6.1f} {:>10}  {:.2f}{}{}\n",
                        timing.tokens, timing.cold ? "cold" : "warm", timing.name, 1e3 * seconds, 100 * spread,
                        1e3 * timing.processor_seconds, timing.operations / seconds / kGiga,
                        static_cast<double>(timing.weight_bytes) / seconds / kGiga, share_text(timing),
                        over_float32(bench, timing), timing.kernel.empty() ? "" : ", ", timing.kernel);
  }
  return text;
}

}  // namespace lowbit
