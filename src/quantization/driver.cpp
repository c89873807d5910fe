#include "lowbit/quantization/driver.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>

#include "lowbit/base/log.h"
#include "lowbit/base/resident.h"
#include "lowbit/model/lazy_block.h"
#include "lowbit/tensor/parallel.h"
#include "model/side_by_side.h"
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
  if (!request.recipe->kv_cache_record() && request.model->weights().kv_cache()) hasher.add("kv cache of the base");
  return hasher.finish().hex();
}

// How the result keeps keys and values: as the recipe says, else as the base does.
std::optional<RuntimeRecord> kv_cache_of(const QuantizeRequest& request) {
  const std::optional<RuntimeRecord>& own = request.recipe->kv_cache_record();
  return own ? own : request.model->weights().kv_cache();
}

// What runs around a product of the base was made for that product's weight, which a transform replaces.
void check_transforms(const QuantizeRequest& request) {
  if (request.recipe->model_transforms().empty()) return;
  const WeightSource& base = request.model->weights();
  for (const std::string& linear : linear_names(base.architecture())) {
    const std::vector<RuntimeRecord> records = base.executions(linear);
    if (records.empty()) continue;
    fail(
        ErrorCode::kUnsupported,
        "{}: '{}' runs around the product of '{}', and a model transform of recipe '{}' would rewrite the weight under "
        "it; quantize the model that this one was made of",
        base.path().string(), records.front().name, linear, request.recipe->name());
  }
}

std::int64_t longest_sequence(const CalibrationSet& calibration) {
  std::size_t longest = 0;
  for (const auto& sequence : calibration.sequences) longest = std::max(longest, sequence.size());
  return static_cast<std::int64_t>(longest);
}

void check_request(const QuantizeRequest& request) {
  ConfigProblems problems;
  request.recipe->check_layers(request.model->architecture(), problems);
  problems.throw_if_any();
  check_transforms(request);
  const bool empty = request.calibration == nullptr || request.calibration->sequences.empty();
  if (request.recipe->needs_calibration() && empty) {
    fail(ErrorCode::kConfig, "recipe '{}' needs calibration data and got none; give a calibration set",
         request.recipe->name());
  }
  const std::int64_t context = request.model->architecture().context;
  if (request.recipe->needs_calibration() && context > 0 && longest_sequence(*request.calibration) > context) {
    fail(ErrorCode::kConfig,
         "calibration set '{}' has a sequence of {} tokens, the model's context is {}; lower 'length'",
         request.calibration->options.name, longest_sequence(*request.calibration), context);
  }
}

// A task that several threads may tell of their work.
class LockedTask : public ProgressTask {
 public:
  explicit LockedTask(std::unique_ptr<ProgressTask> task) : task_(std::move(task)) {}
  void advance(std::int64_t count) override {
    const std::lock_guard lock(mutex_);
    task_->advance(count);
  }
  void note(std::string_view text) override {
    const std::lock_guard lock(mutex_);
    task_->note(text);
  }

 private:
  std::mutex mutex_;
  std::unique_ptr<ProgressTask> task_;
};

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
    LockedTask task(progress.start("quantize", blocks, "blocks"));
    find_finished(blocks);
    report_.resumed_blocks = std::count(finished_.begin(), finished_.end(), true);
    if (report_.resumed_blocks > 0)
      log::info("quantization goes on: {} of {} blocks were done before", report_.resumed_blocks, blocks);
    if (writer_.finished()) {
      for (std::int64_t index = 0; index < blocks; ++index) add(read_block_report(request_.output, index));
      report_.size = stored_size(*open_weights(request_.output));
    } else {
      run_blocks(blocks, task);
      finish();
    }
    report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(report_);
  }

 private:
  // With streams, those that stand without a gap from the first: the streams need every block before the next one.
  void find_finished(std::int64_t blocks) {
    finished_.assign(static_cast<std::size_t>(blocks), writer_.finished());
    if (writer_.finished()) return;
    for (const std::int64_t index : writer_.finished_blocks()) finished_[static_cast<std::size_t>(index)] = true;
    if (streams_.any()) std::fill(std::find(finished_.begin(), finished_.end(), false), finished_.end(), false);
  }

  void finish() {
    const std::string description = describe_artifact(request_, report_);
    report_.size = writer_.finish(description, {}, kv_cache_of(request_));
    const auto& steps = request_.recipe->model_steps();
    for (const auto& step : steps) step->apply(*request_.model, request_.output, cancellation_);
    if (!steps.empty()) report_.size = stored_size(*open_weights(request_.output));
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
    std::vector<BlockReport> reports(static_cast<std::size_t>(blocks));
    const auto solve = [&](std::int64_t index) {
      cancellation_.check();
      reports[static_cast<std::size_t>(index)] = run_block(run, index, index + 1 == blocks);
      task.advance();
    };
    if (rounds_alone()) {
      const std::int64_t at_once = blocks_side_by_side(weights_->architecture().block_parameters(), thread_count());
      if (at_once == 1) writer_.write_behind();
      // What is outside the blocks takes longest and so goes first.
      for_each_block(blocks + 1, at_once, [&](std::int64_t unit) {
        if (unit > 0) return solve(unit - 1);
        writer_.write_rest({}, quantized_head());
      });
    } else {
      for (std::int64_t index = 0; index < blocks; ++index) solve(index);
      writer_.write_rest({}, quantized_head());
    }
    for (const BlockReport& report : reports) add(report);
    streams_.clear();
  }

  // Weights that are rounded on their own; solvers of plugins need not be ready for several threads.
  [[nodiscard]] bool rounds_alone() const {
    return !BlockWork::needs_forward(*request_.recipe, streams_) && request_.recipe->plugins().empty() &&
           request_.model->options().device.is_cpu();
  }

  [[nodiscard]] BlockReport run_block(const DriverRun& run, std::int64_t index, bool last) {
    const bool on_disk = finished_[static_cast<std::size_t>(index)];
    if (on_disk && !streams_.any()) return read_block_report(request_.output, index);
    if (weights_->architecture().block_parameters() >= kLargeBlock) release_freed_memory();  // the last block's
    BlockWork work(run, load(index));
    BlockReport report;
    if (on_disk) {
      report = read_block_report(request_.output, index);
      work.restore(writer_.read_block(index));
    } else {
      work.solve();
      report = work.report();
      write_block_report(request_.output, index, report);
      writer_.write_block(work.artifact());
    }
    if (!last) work.propagate();
    return report;
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
    return with_input_maps(*request_.recipe, block);
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
  std::vector<bool> finished_;  // by block
};

}  // namespace

QuantizeReport quantize(const QuantizeRequest& request, Progress& progress, const Cancellation& cancellation) {
  check_request(request);
  return Driver(request, cancellation).run(progress);
}

}  // namespace lowbit
