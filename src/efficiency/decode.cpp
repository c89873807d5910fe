#include "lowbit/efficiency/decode.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>

#include "efficiency/clock.h"
#include "efficiency/energy.h"
#include "efficiency/gpu_meter.h"
#include "efficiency/llama_bench.h"
#include "efficiency/phase_parts.h"
#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/base/resident.h"
#include "lowbit/model/decoder.h"
#include "lowbit/tensor/device_peaks.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

at::Tensor drawn_ids(std::int64_t vocabulary, std::int64_t sequences, std::int64_t tokens) {
  const Random random(1, "bench/decode");
  std::vector<std::int64_t> ids(static_cast<std::size_t>(sequences * tokens));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<std::int64_t>(random.below(i, static_cast<std::uint64_t>(vocabulary)));
  }
  return tensor_of(std::span<const std::int64_t>(ids)).view({sequences, tokens});
}

PhaseWork work_of(const std::vector<RooflinePart>& parts) {
  PhaseWork work;
  for (const RooflinePart& part : parts) {
    (part.name == kAttentionPart ? work.cache_bytes : work.weight_bytes) += part.bytes;
    work.operations += part.operations;
  }
  work.predicted_seconds = predicted_seconds(parts);
  return work;
}

// The counters of the device that computes.
class Energy {
 public:
  explicit Energy(at::Device device) {
    if (device.is_cuda()) {
      gpu_.emplace(device.index());
      obstacle_ = gpu_->obstacle();
    } else if (device.is_cpu()) {
      processor_.emplace();
      obstacle_ = processor_->obstacle();
    } else {
      obstacle_ = fmt::format("'{}' has no energy counter", device.str());
    }
  }
  [[nodiscard]] const std::string& obstacle() const { return obstacle_; }
  void start() {
    if (!obstacle_.empty()) return;
    if (processor_) processor_->start();
    if (gpu_) begin_ = gpu_->joules();
  }
  [[nodiscard]] double joules() const { return processor_ ? processor_->joules() : gpu_->joules() - begin_; }

 private:
  std::optional<EnergyMeter> processor_;
  std::optional<GpuMeter> gpu_;
  double begin_ = 0;
  std::string obstacle_;
};

// Of runs of this process: a rival's are not its own.
struct Clocks {
  double wall = 0;
  double processor = 0;
};

DecodeTiming time_batch(const Model& model, const DecodeBenchOptions& options, std::int64_t batch, Energy& energy,
                        Clocks& clocks, const Cancellation& cancellation, const std::function<void()>& after_run) {
  DecodeTiming timing;
  timing.batch = batch;
  const at::Tensor ids = drawn_ids(model.architecture().vocabulary, batch, options.prompt + options.new_tokens);
  for (int repetition = -1; repetition < options.repetitions; ++repetition) {
    Decoder decoder(model, batch, options.prompt + options.new_tokens);
    energy.start();
    const double processor = processor_seconds();
    const double start = wall_seconds();
    (void)decoder.read(ids.narrow(1, 0, options.prompt), cancellation);
    const double first = wall_seconds();
    for (std::int64_t token = 0; token < options.new_tokens; ++token) {
      (void)decoder.read(ids.narrow(1, options.prompt + token, 1), cancellation);
    }
    const double end = wall_seconds();
    clocks.wall += end - start;
    clocks.processor += processor_seconds() - processor;
    after_run();
    if (repetition < 0) continue;
    timing.prefill_seconds.push_back(first - start);
    timing.decode_seconds.push_back(end - first);
    if (energy.obstacle().empty()) timing.joules.push_back(energy.joules());
    timing.cache_bytes = decoder.cache_bytes();
    timing.detour = decoder.detour();
    if (batch == 1 && !options.llama.program.empty()) {
      timing.rival.push_back(run_llama_bench(options.llama, options, thread_count()));
    }
  }
  return timing;
}

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  return {values[values.size() / 2], values.back(), values.front()};
}

Spread rates(const std::vector<double>& seconds, double tokens) {
  std::vector<double> values;
  for (const double each : seconds) values.push_back(tokens / each);
  return spread_of(std::move(values));
}

Spread ratios(const std::vector<double>& seconds, double tokens, const std::vector<RivalRates>& rival,
              double RivalRates::*rate) {
  std::vector<double> values;
  for (std::size_t i = 0; i < rival.size(); ++i) values.push_back(tokens / seconds[i] / (rival[i].*rate));
  return spread_of(std::move(values));
}

}  // namespace

Spread DecodeTiming::prefill_rate(const DecodeBenchOptions& options) const {
  return rates(prefill_seconds, static_cast<double>(batch * options.prompt));
}

Spread DecodeTiming::decode_rate(const DecodeBenchOptions& options) const {
  return rates(decode_seconds, static_cast<double>(batch * options.new_tokens));
}

Spread DecodeTiming::prefill_ratio(const DecodeBenchOptions& options) const {
  return ratios(prefill_seconds, static_cast<double>(batch * options.prompt), rival, &RivalRates::prefill);
}

Spread DecodeTiming::decode_ratio(const DecodeBenchOptions& options) const {
  return ratios(decode_seconds, static_cast<double>(batch * options.new_tokens), rival, &RivalRates::decode);
}

void check_decode_options(const DecodeBenchOptions& options, std::int64_t context) {
  constexpr std::int64_t kMostSequences = 1024;
  if (options.prompt < 1 || options.new_tokens < 1) {
    fail(ErrorCode::kConfig, "efficiency: a prompt of {} and {} new tokens, expected at least 1 each", options.prompt,
         options.new_tokens);
  }
  if (options.prompt + options.new_tokens > context) {
    fail(ErrorCode::kConfig, "efficiency: {} tokens of prompt and {} new ones, the model's context is {}",
         options.prompt, options.new_tokens, context);
  }
  if (options.repetitions < 3) {
    fail(ErrorCode::kConfig, "efficiency: {} repetitions, expected at least 3 for a median", options.repetitions);
  }
  if (options.llama.program.empty() != options.llama.model.empty()) {
    fail(ErrorCode::kConfig, "efficiency: llama-bench is '{}' and its model '{}', expected both or none",
         options.llama.program, options.llama.model);
  }
  for (const std::int64_t batch : options.batches) {
    if (batch < 1 || batch > kMostSequences) {
      fail(ErrorCode::kConfig, "efficiency: a batch of {}, expected 1 to {}", batch, kMostSequences);
    }
  }
}

DecodeBench run_decode_bench(const Model& model, const DecodeBenchOptions& options, Progress& progress,
                             const Cancellation& cancellation) {
  check_decode_options(options, model.architecture().context);
  const NoGradScope no_grad;
  DecodeBench bench;
  bench.options = options;
  (void)model.logits(model.embed(drawn_ids(model.architecture().vocabulary, 1, 1)));  // reads embedding and head
  const std::vector<ModelProduct> products = products_of(model);
  bench.weight_bytes = weight_bytes_of(products);
  bench.products = summarize_products(model.products());
  const at::Device device = model.options().device;
  bench.machine = device.is_cpu() ? probe_machine({bench.weight_bytes}) : probe_device(device, {bench.weight_bytes});
  const Peaks peaks = peaks_of(bench.machine);
  Energy energy(device);
  bench.energy_obstacle = energy.obstacle();
  const auto runs = static_cast<std::int64_t>(options.batches.size()) * (options.repetitions + 1);
  const auto task = progress.start("measuring", runs, "runs");
  Clocks clocks;
  for (const std::int64_t batch : options.batches) {
    DecodeTiming timing = time_batch(model, options, batch, energy, clocks, cancellation, [&] { task->advance(); });
    const auto work = [&](std::int64_t tokens, double before) {
      return work_of(phase_parts(products, model, batch, tokens, before, peaks));
    };
    timing.prefill = work(options.prompt, 0);
    timing.decode = work(1, static_cast<double>(options.prompt) + static_cast<double>(options.new_tokens - 1) / 2);
    bench.timings.push_back(std::move(timing));
  }
  bench.processor_share = clocks.processor / (clocks.wall * bench.machine.threads);
  bench.peak_memory = peak_resident_bytes();
  if (!device.is_cpu()) bench.peak_device_memory = peak_device_memory(device);
  return bench;
}

}  // namespace lowbit
