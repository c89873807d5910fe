#include "lowbit/efficiency/roofline.h"

#include <map>

#include "efficiency/clock.h"
#include "efficiency/phase_parts.h"
#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {
namespace {

using Seconds = std::map<std::string, std::vector<double>, std::less<>>;  // of each repetition, by part

// [sequences, tokens, width], in the model's type.
at::Tensor drawn_inputs(const Model& model, std::int64_t sequences, std::int64_t tokens, std::int64_t width) {
  const Random random(1, "bench/roofline");
  std::vector<float> values(static_cast<std::size_t>(sequences * tokens * width));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.uniform(i)) - 0.5F;
  const at::Tensor drawn = tensor_of(std::span<const float>(values)).view({sequences, tokens, width});
  return to_dtype(drawn, model.options().dtype);
}

class PhaseTimer {
 public:
  PhaseTimer(const Model& model, std::int64_t batch, std::int64_t tokens) : model_(model) {
    for (const LinearSlot& slot : model.block(0)->linears()) {
      const std::int64_t width = slot.op->in_features();
      if (!inputs_.contains(width)) inputs_[width] = drawn_inputs(model, batch, tokens, width);
    }
    last_ = drawn_inputs(model, 1, batch, model.architecture().hidden).squeeze(0);
  }

  // Once through the model, all products in its order.
  void run(Seconds& seconds) const {
    std::map<std::string, double, std::less<>> sums;
    for (std::int64_t index = 0; index < model_.architecture().layers; ++index) {
      const std::shared_ptr<Block> block = model_.block(index);
      for (const LinearSlot& slot : block->linears()) {
        const at::Tensor& input = inputs_.at(slot.op->in_features());
        sums[std::string(kind_of_linear(slot.name))] +=
            seconds_of([&] { (void)slot.forward(input, model_.options().deterministic); });
      }
    }
    sums[kHeadPart] = seconds_of([&] { (void)model_.logits(last_); });
    for (const auto& [name, sum] : sums) seconds[name].push_back(sum);
  }

 private:
  template <typename Function>
  static double seconds_of(const Function& function) {
    const double start = wall_seconds();
    function();
    return wall_seconds() - start;
  }

  const Model& model_;
  std::map<std::int64_t, at::Tensor> inputs_;  // by width
  at::Tensor last_;
};

// Products of one name may differ in arithmetic; what was measured stands beside the first of them.
void add_measured(std::vector<RooflinePart>& parts, Seconds& seconds) {
  for (RooflinePart& part : parts) {
    const auto found = seconds.find(part.name);
    if (found == seconds.end()) continue;
    std::ranges::sort(found->second);
    part.measured_seconds = found->second[found->second.size() / 2];
    seconds.erase(found);
  }
}

double bytes_held(const std::vector<RooflinePart>& parts) {
  double sum = 0;
  for (const RooflinePart& part : parts) sum += part.bytes;
  return sum;
}

void check(const RooflineOptions& options, std::int64_t context) {
  constexpr std::int64_t kMostSequences = 1024;
  if (options.prompt < 1 || options.prompt >= context) {
    fail(ErrorCode::kConfig, "roofline: a prompt of {} tokens, expected 1 to {}, one less than the model's context",
         options.prompt, context - 1);
  }
  if (options.batch < 1 || options.batch > kMostSequences) {
    fail(ErrorCode::kConfig, "roofline: a batch of {}, expected 1 to {}", options.batch, kMostSequences);
  }
  if (options.repetitions < 3) {
    fail(ErrorCode::kConfig, "roofline: {} repetitions, expected at least 3 for a median", options.repetitions);
  }
}

}  // namespace

ModelRoofline run_model_roofline(const Model& model, const RooflineOptions& options, Progress& progress,
                                 const Cancellation& cancellation) {
  check(options, model.architecture().context);
  if (!model.options().device.is_cpu()) {
    fail(ErrorCode::kUnsupported, "roofline: products are timed by themselves on the CPU only, not on '{}'",
         model.options().device.str());
  }
  const NoGradScope no_grad;
  ModelRoofline roofline;
  roofline.options = options;
  (void)model.logits(make_full({1, model.architecture().hidden}, 0.0, model.options().dtype));  // reads the head
  const std::vector<ModelProduct> products = products_of(model);
  roofline.machine = probe_machine({weight_bytes_of(products)});

  const auto prompt = static_cast<double>(options.prompt);
  const auto prefill = [&](const Peaks& peaks) {
    return phase_parts(products, model, options.batch, options.prompt, 0, peaks);
  };
  const auto decode = [&](const Peaks& peaks) { return phase_parts(products, model, options.batch, 1, prompt, peaks); };
  const Peaks own = peaks_of(roofline.machine);
  roofline.prefill = prefill(own);
  roofline.decode = decode(own);

  const auto task = progress.start("measuring", 2 * (std::int64_t{options.repetitions} + 1), "runs");
  const auto measure = [&](std::int64_t tokens, std::vector<RooflinePart>& parts) {
    const PhaseTimer timer(model, options.batch, tokens);
    Seconds warming;
    Seconds seconds;
    for (int repetition = -1; repetition < options.repetitions; ++repetition) {
      cancellation.check();
      timer.run(repetition < 0 ? warming : seconds);
      task->advance();
    }
    add_measured(parts, seconds);
  };
  measure(options.prompt, roofline.prefill);
  measure(1, roofline.decode);
  for (const PublishedHardware& hardware : published_hardware()) {
    const Peaks peaks{hardware.bytes_per_second,
                      [&](std::string_view arithmetic) { return hardware.operations_per_second(arithmetic); },
                      "float16"};
    roofline.elsewhere.push_back({&hardware, predicted_seconds(prefill(peaks)), predicted_seconds(decode(peaks)),
                                  hardware.memory_bytes == 0 || bytes_held(roofline.decode) <= hardware.memory_bytes});
  }
  return roofline;
}

}  // namespace lowbit
