#include "evaluation/efficiency.h"

#include <fmt/format.h>

#include <algorithm>

#include "lowbit/base/files.h"
#include "lowbit/evaluation/statistics.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::vector<double> rates(const std::vector<double>& seconds, std::int64_t tokens) {
  std::vector<double> values;
  for (const double each : seconds) values.push_back(static_cast<double>(tokens) / each);
  return values;
}

Metric mean_metric(std::string name, const std::vector<double>& values, bool higher_is_better) {
  const MeanEstimate estimate = mean_of(values);
  return {std::move(name), estimate.mean, estimate.scaled_error(), higher_is_better};
}

std::vector<std::pair<std::string, std::string>> facts_of(const DecodeBench& bench) {
  std::vector<std::pair<std::string, std::string>> facts = {
      {"processor", bench.machine.processor},
      {"threads", std::to_string(bench.machine.threads)},
      {"load before", fmt::format("{:.1f}", bench.machine.load_average)},
      {"share of the processor's time", fmt::format("{:.0f} %", 100 * bench.processor_share)},
      {bench.machine.device.empty() ? "read bandwidth" : "copy bandwidth",
       fmt::format("{:.1f} GB/s", bench.machine.bandwidths.front().second / 1e9)},
      {"energy", bench.energy_obstacle.empty() ? "measured" : bench.energy_obstacle}};
  if (!bench.machine.device.empty()) facts.emplace_back("device", bench.machine.device);
  const std::string& detour = bench.timings.front().detour;
  if (!detour.empty()) facts.emplace_back("through LibTorch between products", detour);
  return facts;
}

}  // namespace

void EfficiencyOptions::visit(FieldVisitor& v) {
  v.field("prompt", prompt, "tokens of a prompt, read at once", {1, 1 << 20});
  v.field("new_tokens", new_tokens, "tokens read behind it, one at a time", {1, 1 << 20});
  v.field("batch", batch, "sequences at once", {1, 1024});
  v.field("repetitions", repetitions, "timed runs, behind one that warms up", {3, 1000});
}

DecodeBenchOptions Efficiency::bench_options() const {
  return {options_.prompt, options_.new_tokens, {options_.batch}, static_cast<int>(options_.repetitions)};
}

std::string Efficiency::label() const {
  return fmt::format("efficiency {}+{} batch-{}", options_.prompt, options_.new_tokens, options_.batch);
}

void Efficiency::check(const Architecture& architecture) const {
  check_decode_options(bench_options(), architecture.context);
}

std::int64_t Efficiency::tokens(const Tokenizer&, const DatasetCatalog&) const {
  return options_.batch * (options_.prompt + options_.new_tokens) * (options_.repetitions + 1);
}

// A measured time holds for the machine that took it.
Hash Efficiency::key(const Tokenizer&, const DatasetCatalog&) const {
  Hasher key;
  key.add("efficiency")
      .add(version())
      .add(options_.prompt)
      .add(options_.new_tokens)
      .add(options_.batch)
      .add(options_.repetitions)
      .add(processor_name())
      .add(std::int64_t{thread_count()});
  const std::string gpus = gpu_names();
  if (!gpus.empty()) key.add(gpus);
  return key.finish();
}

EvaluationResult Efficiency::run(const EvaluationContext& context) const {
  const Scorer& scorer = context.scorer;
  const DecodeBench bench = run_decode_bench(scorer.model(), bench_options(), scorer.progress(), scorer.cancellation());
  const DecodeTiming& timing = bench.timings.front();
  const std::vector<double> decode = rates(timing.decode_seconds, options_.batch * options_.new_tokens);
  const std::vector<double> prefill = rates(timing.prefill_seconds, options_.batch * options_.prompt);
  EvaluationResult result{
      .evaluation = "efficiency", .label = label(), .protocol = "", .metrics = {}, .items = {}, .facts = {}};
  result.metrics = {mean_metric("decode_tokens_per_second", decode, true),
                    mean_metric("prefill_tokens_per_second", prefill, true),
                    mean_metric("first_token_seconds", timing.prefill_seconds, false)};
  const double step = median(timing.decode_seconds) / static_cast<double>(options_.new_tokens);
  result.metrics.push_back({"decode_share_of_roofline", timing.decode.predicted_seconds / step, std::nullopt, true});
  result.metrics.push_back({"prefill_share_of_roofline",
                            timing.prefill.predicted_seconds / median(timing.prefill_seconds), std::nullopt, true});
  result.metrics.push_back({"weight_bytes_per_token", static_cast<double>(bench.weight_bytes), std::nullopt, false});
  result.metrics.push_back({"cache_bytes", static_cast<double>(timing.cache_bytes), std::nullopt, false});
  result.metrics.push_back({"peak_memory_bytes", static_cast<double>(bench.peak_memory), std::nullopt, false});
  if (bench.peak_device_memory > 0) {
    result.metrics.push_back(
        {"peak_device_memory_bytes", static_cast<double>(bench.peak_device_memory), std::nullopt, false});
  }
  if (!timing.joules.empty()) {
    const auto tokens = static_cast<double>(options_.batch * (options_.prompt + options_.new_tokens));
    std::vector<double> joules;
    for (const double run : timing.joules) joules.push_back(run / tokens);
    result.metrics.push_back(mean_metric("joules_per_token", joules, false));
  }
  for (std::size_t i = 0; i < decode.size(); ++i) {
    result.items.push_back(
        {.id = fmt::format("repetition {}", i),
         .value = decode[i],
         .weight = 1,
         .more = {{"prefill_tokens_per_second", prefill[i]}, {"first_token_seconds", timing.prefill_seconds[i]}}});
  }
  result.facts = facts_of(bench);
  return result;
}

}  // namespace lowbit
