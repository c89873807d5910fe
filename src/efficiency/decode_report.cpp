#include <fmt/format.h>

#include <algorithm>

#include "efficiency/median.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/efficiency/decode.h"

namespace lowbit {
namespace {

constexpr double kMega = 1e6;
constexpr double kGiga = 1e9;

Json spread_json(const Spread& spread) {
  return {{"median", spread.median}, {"fastest", spread.fastest}, {"slowest", spread.slowest}};
}

Json work_json(const PhaseWork& work) {
  return {{"weight_bytes", work.weight_bytes},
          {"cache_bytes", work.cache_bytes},
          {"operations", work.operations},
          {"predicted_seconds", work.predicted_seconds}};
}

double spread_percent(const Spread& rate) { return 100 * (rate.fastest - rate.slowest) / (2 * rate.median); }

}  // namespace

std::string decode_bench_json(const DecodeBench& bench) {
  Json json = {{"machine", parse_json(machine_json(bench.machine), "machine")},
               {"prompt", bench.options.prompt},
               {"new_tokens", bench.options.new_tokens},
               {"repetitions", bench.options.repetitions},
               {"processor_share", bench.processor_share},
               {"weight_bytes_per_token", bench.weight_bytes},
               {"peak_memory_bytes", bench.peak_memory}};
  if (bench.peak_device_memory > 0) json["peak_device_memory_bytes"] = bench.peak_device_memory;
  json["products"] = Json::array();
  for (const ProductSummary& summary : bench.products) json["products"].push_back(summary.text());
  if (!bench.energy_obstacle.empty()) json["energy"] = bench.energy_obstacle;
  json["timings"] = Json::array();
  for (const DecodeTiming& timing : bench.timings) {
    Json entry = {{"batch", timing.batch},
                  {"prefill_seconds", timing.prefill_seconds},
                  {"decode_seconds", timing.decode_seconds},
                  {"prefill_tokens_per_second", spread_json(timing.prefill_rate(bench.options))},
                  {"decode_tokens_per_second", spread_json(timing.decode_rate(bench.options))},
                  {"prefill", work_json(timing.prefill)},
                  {"decode_step", work_json(timing.decode)},
                  {"cache_bytes", timing.cache_bytes}};
    if (!timing.joules.empty()) entry["joules"] = timing.joules;
    if (!timing.detour.empty()) entry["detour"] = timing.detour;
    for (const RivalRates& rates : timing.rival) {
      entry["llama_bench"].push_back(
          {{"prefill_tokens_per_second", rates.prefill}, {"decode_tokens_per_second", rates.decode}});
    }
    json["timings"].push_back(std::move(entry));
  }
  return json.dump(2) + "\n";
}

std::string decode_bench_table(const DecodeBench& bench) {
  std::string text = machine_table(bench.machine);
  text += fmt::format("{:.0f} % of the processor's time while measuring; peak memory {}\n", 100 * bench.processor_share,
                      format_bytes(static_cast<std::uint64_t>(bench.peak_memory)));
  if (bench.peak_device_memory > 0) {
    text += fmt::format("peak memory of the device {}\n",
                        format_bytes(static_cast<std::uint64_t>(bench.peak_device_memory)));
  }
  for (const ProductSummary& summary : bench.products) text += fmt::format("products: {}\n", summary.text());
  if (!bench.energy_obstacle.empty()) text += fmt::format("energy: {}\n", bench.energy_obstacle);
  text += fmt::format("{} tokens of prompt, {} new ones, {} repetitions; a token reads {:.1f} MB of weights\n\n",
                      bench.options.prompt, bench.options.new_tokens, bench.options.repetitions,
                      static_cast<double>(bench.weight_bytes) / kMega);
  text += fmt::format("{:>5} {:<8} {:>10} {:>5} {:>11} {:>9} {:>9} {:>11}\n", "batch", "phase", "tokens/s", "+- %",
                      "ms", "GB/s", "Gop/s", "of roofline");
  for (const DecodeTiming& timing : bench.timings) {
    const auto line = [&](const char* phase, const Spread& rate, double seconds, const PhaseWork& work) {
      text += fmt::format("{:>5} {:<8} {:>10.1f} {:>5.0f} {:>11.3f} {:>9.1f} {:>9.1f} {:>9.0f} %\n", timing.batch,
                          phase, rate.median, spread_percent(rate), 1e3 * seconds,
                          (work.weight_bytes + work.cache_bytes) / seconds / kGiga, work.operations / seconds / kGiga,
                          100 * work.predicted_seconds / seconds);
    };
    line("prefill", timing.prefill_rate(bench.options), median(timing.prefill_seconds), timing.prefill);
    line("decode", timing.decode_rate(bench.options),
         median(timing.decode_seconds) / static_cast<double>(bench.options.new_tokens), timing.decode);
    if (!timing.rival.empty()) {
      const Spread prefill = timing.prefill_ratio(bench.options);
      const Spread decode = timing.decode_ratio(bench.options);
      text += fmt::format(
          "{:>5} {:.2f} ({:.2f} to {:.2f}) times as fast as llama.cpp with the prompt, {:.2f} ({:.2f} to "
          "{:.2f}) behind it\n",
          "", prefill.median, prefill.slowest, prefill.fastest, decode.median, decode.slowest, decode.fastest);
    }
    if (!timing.joules.empty()) {
      const auto tokens = static_cast<double>(timing.batch * (bench.options.prompt + bench.options.new_tokens));
      text +=
          fmt::format("{:>5} {:.3f} J a token, of prompt and new ones together\n", "", median(timing.joules) / tokens);
    }
    if (!timing.detour.empty()) {
      text += fmt::format("{:>5} through LibTorch between products: {}\n", "", timing.detour);
    } else if (!bench.machine.device.empty()) {
      text += fmt::format("{:>5} blocks by a graph of kernels that was recorded once\n", "");
    }
  }
  return text;
}

}  // namespace lowbit
