#include "lowbit/efficiency/decode.h"

#include <sys/resource.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>

#include "efficiency/clock.h"
#include "efficiency/energy.h"
#include "efficiency/gpu_meter.h"
#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/model/decoder.h"
#include "lowbit/tensor/device_peaks.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {
namespace {

constexpr const char* kHead = "lm_head";

at::Tensor drawn_ids(std::int64_t vocabulary, std::int64_t sequences, std::int64_t tokens) {
  const Random random(1, "bench/decode");
  std::vector<std::int64_t> ids(static_cast<std::size_t>(sequences * tokens));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<std::int64_t>(random.below(i, static_cast<std::uint64_t>(vocabulary)));
  }
  return tensor_of(std::span<const std::int64_t>(ids)).view({sequences, tokens});
}

// One product of a step, or all that is alike.
struct Part {
  double bytes = 0;
  double parameters = 0;
  std::string arithmetic;
};

// The linears, and the head, which reads one token a sequence in either phase.
struct Parts {
  std::vector<Part> linears;
  Part head;
  [[nodiscard]] double bytes() const {
    double sum = head.bytes;
    for (const Part& part : linears) sum += part.bytes;
    return sum;
  }
};

// The CPU multiplies bfloat16 numbers as float32.
std::string float_arithmetic(const Model& model) {
  const ComputeOptions& options = model.options();
  return options.device.is_cpu() || options.dtype == DType::kFloat32 ? "float32" : "bfloat16";
}

Part head_of(const Model& model) {
  const Architecture& a = model.architecture();
  const auto parameters = static_cast<double>(a.vocabulary * a.hidden);
  const std::vector<ProductRecord> products = model.products();
  if (!products.empty() && products.back().linear == kHead && products.back().packed) {
    return {static_cast<double>(products.back().bytes), parameters, products.back().arithmetic};
  }
  return {parameters * dtype_bytes(model.options().dtype), parameters, float_arithmetic(model)};
}

Parts parts_of(const Model& model) {
  Parts parts;
  for (std::int64_t index = 0; index < model.architecture().layers; ++index) {
    const std::shared_ptr<Block> block = model.block(index);
    for (const LinearSlot& slot : block->linears()) {
      parts.linears.push_back({static_cast<double>(slot.op->weight_bytes()),
                               static_cast<double>(slot.op->in_features() * slot.op->out_features()),
                               slot.record.packed ? slot.record.arithmetic : float_arithmetic(model)});
    }
  }
  parts.head = head_of(model);
  return parts;
}

class Roofline {
 public:
  Roofline(const MachinePeaks& machine, const Parts& parts, const Architecture& architecture, DType dtype)
      : machine_(machine), parts_(parts), architecture_(architecture), number_bytes_(dtype_bytes(dtype)) {}

  // `tokens` of each of `batch` sequences, behind `before` others.
  [[nodiscard]] PhaseWork work(std::int64_t batch, std::int64_t tokens, double before) const {
    PhaseWork work;
    for (const Part& part : parts_.linears) add(part, static_cast<double>(batch * tokens), work);
    add(parts_.head, static_cast<double>(batch), work);
    const auto layers = static_cast<double>(architecture_.layers * batch);
    const double keys = before + static_cast<double>(tokens + 1) / 2;
    const auto width = static_cast<double>(architecture_.kv_heads * architecture_.head_dim);
    const auto queries = static_cast<double>(architecture_.heads * architecture_.head_dim);
    work.cache_bytes = 2 * layers * width * number_bytes_ * (before + static_cast<double>(tokens));
    const double operations = 4 * layers * queries * static_cast<double>(tokens) * keys;
    work.operations += operations;
    work.predicted_seconds += seconds(work.cache_bytes, operations, "float32");
    return work;
  }

 private:
  void add(const Part& part, double tokens, PhaseWork& work) const {
    const double operations = 2 * part.parameters * tokens;
    work.weight_bytes += part.bytes;
    work.operations += operations;
    work.predicted_seconds += seconds(part.bytes, operations, part.arithmetic);
  }
  [[nodiscard]] double seconds(double bytes, double operations, std::string_view arithmetic) const {
    const double peak = machine_.operations_per_second(arithmetic);
    return std::max(bytes / machine_.bandwidths.front().second, peak > 0 ? operations / peak : 0.0);
  }

  const MachinePeaks& machine_;
  const Parts& parts_;
  const Architecture& architecture_;
  double number_bytes_;
};

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

DecodeTiming time_batch(const Model& model, const DecodeBenchOptions& options, std::int64_t batch, Energy& energy,
                        const Cancellation& cancellation, const std::function<void()>& after_run) {
  DecodeTiming timing;
  timing.batch = batch;
  const at::Tensor ids = drawn_ids(model.architecture().vocabulary, batch, options.prompt + options.new_tokens);
  for (int repetition = -1; repetition < options.repetitions; ++repetition) {
    Decoder decoder(model, batch, options.prompt + options.new_tokens);
    energy.start();
    const double start = wall_seconds();
    (void)decoder.read(ids.narrow(1, 0, options.prompt), cancellation);
    const double first = wall_seconds();
    for (std::int64_t token = 0; token < options.new_tokens; ++token) {
      (void)decoder.read(ids.narrow(1, options.prompt + token, 1), cancellation);
    }
    const double end = wall_seconds();
    after_run();
    if (repetition < 0) continue;
    timing.prefill_seconds.push_back(first - start);
    timing.decode_seconds.push_back(end - first);
    if (energy.obstacle().empty()) timing.joules.push_back(energy.joules());
    timing.cache_bytes = decoder.cache_bytes();
    timing.detour = decoder.detour();
  }
  return timing;
}

Spread rates(const std::vector<double>& seconds, double tokens) {
  std::vector<double> values;
  for (const double each : seconds) values.push_back(tokens / each);
  std::ranges::sort(values);
  if (values.empty()) return {};
  return {values[values.size() / 2], values.back(), values.front()};
}

std::int64_t peak_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

}  // namespace

Spread DecodeTiming::prefill_rate(const DecodeBenchOptions& options) const {
  return rates(prefill_seconds, static_cast<double>(batch * options.prompt));
}

Spread DecodeTiming::decode_rate(const DecodeBenchOptions& options) const {
  return rates(decode_seconds, static_cast<double>(batch * options.new_tokens));
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
  const Parts parts = parts_of(model);
  bench.weight_bytes = static_cast<std::int64_t>(parts.bytes());
  bench.products = summarize_products(model.products());
  const at::Device device = model.options().device;
  bench.machine = device.is_cpu() ? probe_machine({bench.weight_bytes}) : probe_device(device, {bench.weight_bytes});
  Energy energy(device);
  bench.energy_obstacle = energy.obstacle();
  const auto runs = static_cast<std::int64_t>(options.batches.size()) * (options.repetitions + 1);
  const auto task = progress.start("measuring", runs, "runs");
  const double wall = wall_seconds();
  const double processor = processor_seconds();
  for (const std::int64_t batch : options.batches) {
    DecodeTiming timing = time_batch(model, options, batch, energy, cancellation, [&] { task->advance(); });
    const Roofline roofline(bench.machine, parts, model.architecture(), model.options().dtype);
    timing.prefill = roofline.work(batch, options.prompt, 0);
    timing.decode =
        roofline.work(batch, 1, static_cast<double>(options.prompt) + static_cast<double>(options.new_tokens - 1) / 2);
    bench.timings.push_back(std::move(timing));
  }
  bench.processor_share = (processor_seconds() - processor) / ((wall_seconds() - wall) * bench.machine.threads);
  bench.peak_memory = peak_memory();
  if (!device.is_cpu()) bench.peak_device_memory = peak_device_memory(device);
  return bench;
}

}  // namespace lowbit
