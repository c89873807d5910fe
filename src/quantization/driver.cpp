#include "lowbit/quantization/driver.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <optional>
#include <utility>

#include "lowbit/base/log.h"
#include "lowbit/base/resident.h"
#include "lowbit/model/lazy_block.h"
#include "quantization/driver/block_report_file.h"
#include "quantization/driver/block_work.h"
#include "quantization/driver/compute_key.h"
#include "quantization/driver/transformed_weights.h"

namespace lowbit {
namespace {

// Raised when the driver itself gives other bits for the same recipe.
constexpr int kDriverVersion = 5;
// Blocks of so many numbers leave holes in the heap that grow from one to the next. Smaller ones leave small holes, and
// giving them back would take as long as rounding.
constexpr std::int64_t kLargeBlock = std::int64_t{1} << 25;

std::shared_ptr<const WeightSource> weights_of(const QuantizeRequest& request) {
  std::shared_ptr<const WeightSource> base(request.model, &request.model->weights());
  if (request.recipe->model_transforms().empty()) return base;
  return std::make_shared<TransformedWeights>(std::move(base), *request.recipe);
}

std::string artifact_key(const QuantizeRequest& request) {
  Hasher hasher;
  hasher.add(kDriverVersion).add(request.model->weights().fingerprint()).add(request.recipe->hash()).add(request.seed);
  add_compute(hasher, request.model->options());
  if (request.recipe->needs_calibration()) hasher.add(request.calibration->hash);
  return hasher.finish().hex();
}

void check_request(const QuantizeRequest& request) {
  ConfigProblems problems;
  request.recipe->check_layers(request.model->architecture(), problems);
  problems.throw_if_any();
  const bool empty = request.calibration == nullptr || request.calibration->sequences.empty();
  if (request.recipe->needs_calibration() && empty) {
    fail(ErrorCode::kConfig, "recipe '{}' needs calibration data and got none; give a calibration set",
         request.recipe->name());
  }
}

std::int64_t longest_sequence(const CalibrationSet& calibration) {
  std::size_t longest = 0;
  for (const auto& sequence : calibration.sequences) longest = std::max(longest, sequence.size());
  return static_cast<std::int64_t>(longest);
}

class Driver {
 public:
  Driver(const QuantizeRequest& request, const Cancellation& cancellation)
      : request_(request),
        cancellation_(cancellation),
        weights_(weights_of(request)),
        shared_(SharedStatistics::open(request)),
        streams_(*request.recipe, request.recipe->needs_calibration() && !(shared_ && shared_->complete())),
        writer_(request.output, weights_, request.model->tokenizer(), artifact_key(request)) {}

  QuantizeReport run(Progress& progress) {
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t blocks = weights_->architecture().layers;
    const std::unique_ptr<ProgressTask> task = progress.start("quantize", blocks, "blocks");
    finished_ = writer_.finished() ? blocks : leading_blocks();
    report_.resumed_blocks = finished_;
    if (finished_ > 0) log::info("quantization goes on: {} of {} blocks were done before", finished_, blocks);
    if (writer_.finished()) {
      for (std::int64_t index = 0; index < blocks; ++index) add(read_block_report(request_.output, index));
    } else {
      run_blocks(blocks, *task);
      writer_.finish(describe_artifact(request_, report_), {}, request_.recipe->kv_cache_record(), quantized_head());
      for (const auto& step : request_.recipe->model_steps())
        step->apply(*request_.model, request_.output, cancellation_);
    }
    report_.size = stored_size(*open_weights(request_.output));
    report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(report_);
  }

 private:
  // Blocks that stand without a gap from the first: the streams need every block before the next one.
  [[nodiscard]] std::int64_t leading_blocks() const {
    std::vector<std::int64_t> on_disk = writer_.finished_blocks();
    std::sort(on_disk.begin(), on_disk.end());
    std::int64_t count = 0;
    while (count < static_cast<std::int64_t>(on_disk.size()) && on_disk[static_cast<std::size_t>(count)] == count)
      ++count;
    return count;
  }

  [[nodiscard]] RopeTable start_streams() {
    if (!streams_.any()) return {};
    const bool rewritten = !request_.recipe->model_transforms().empty();
    if (request_.memory.spill_streams) {
      const std::int64_t elements = request_.calibration->tokens() * weights_->architecture().hidden;
      streams_.spill(request_.output, elements, request_.model->options().dtype);
    }
    embed_sequences(*request_.model, rewritten ? weights_.get() : nullptr, *request_.calibration,
                    [&](const at::Tensor& states) { streams_.add(states); });
    return make_rope_table(weights_->architecture(), longest_sequence(*request_.calibration));
  }

  void run_blocks(std::int64_t blocks, ProgressTask& task) {
    const RopeTable rope = start_streams();
    const std::int64_t tokens = streams_.any() ? request_.calibration->tokens() : 0;
    std::array<HeldStates, 2> held = {HeldStates(request_.memory.held_bytes), HeldStates(request_.memory.held_bytes)};
    const DriverRun run{*request_.recipe,          streams_, rope,         request_.seed, tokens, held, shared_.get(),
                        request_.model->readers(), task,     cancellation_};
    for (std::int64_t index = 0; index < blocks; ++index) {
      cancellation_.check();
      run_block(run, index, index + 1 == blocks);
      task.advance();
    }
    streams_.clear();
  }

  void run_block(const DriverRun& run, std::int64_t index, bool last) {
    const bool on_disk = index < finished_;
    if (on_disk) add(read_block_report(request_.output, index));
    if (on_disk && !streams_.any()) return;
    if (weights_->architecture().block_parameters() >= kLargeBlock) release_freed_memory();  // the last block's
    BlockWork work(run, load(index));
    if (on_disk) {
      work.restore(writer_.read_block(index));
    } else {
      work.solve();
      write_block_report(request_.output, index, work.report());
      writer_.write_block(work.artifact());
      add(work.report());
    }
    if (!last) work.propagate();
  }

  [[nodiscard]] std::shared_ptr<const Block> load(std::int64_t index) const {
    const Model& model = *request_.model;
    std::shared_ptr<const Block> block;
    if (!BlockWork::needs_forward(*request_.recipe, streams_)) {
      block = load_block_lazily(*weights_, index, model.options(), model.readers());
    } else if (request_.recipe->model_transforms().empty()) {
      block = model.block(index);
    } else {
      block = load_block(*weights_, index, model.options(), model.readers());
    }
    return with_input_maps(*request_.recipe, std::move(block));
  }

  [[nodiscard]] std::optional<QuantizedWeight> quantized_head() const {
    const Architecture& a = weights_->architecture();
    for (const auto& transform : request_.recipe->model_transforms()) {
      if (a.tied_head) break;
      if (auto head = transform->quantize_head(weights_->load("lm_head.weight", {a.vocabulary, a.hidden}))) return head;
    }
    return std::nullopt;
  }

  void add(const BlockReport& report) {
    report_.layers.insert(report_.layers.end(), report.layers.begin(), report.layers.end());
    report_.events.insert(report_.events.end(), report.events.begin(), report.events.end());
  }

  const QuantizeRequest& request_;
  const Cancellation& cancellation_;
  std::shared_ptr<const WeightSource> weights_;
  std::unique_ptr<SharedStatistics> shared_;
  Streams streams_;
  ArtifactWriter writer_;
  QuantizeReport report_;
  std::int64_t finished_ = 0;
};

}  // namespace

QuantizeReport quantize(const QuantizeRequest& request, Progress& progress, const Cancellation& cancellation) {
  check_request(request);
  return Driver(request, cancellation).run(progress);
}

}  // namespace lowbit
