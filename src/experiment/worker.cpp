#include <algorithm>
#include <chrono>
#include <optional>

#include "experiment/calibration_source.h"
#include "experiment/machine.h"
#include "experiment/result_json.h"
#include "experiment/run_folder.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/log.h"
#include "lowbit/base/resident.h"
#include "lowbit/base/work_folder.h"
#include "lowbit/experiment/executor.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit {
namespace {

using Clock = std::chrono::steady_clock;

// Everything one piece of work needs, opened from the run's folder.
class Worker {
 public:
  Worker(const std::filesystem::path& folder, const std::string& key, const Registries& registries,
         const Resources& resources, Progress& progress, const Cancellation& cancellation)
      : registries_(registries),
        experiment_(decode_experiment(ConfigNode::load(folder / kResolvedConfig), registries, resources)),
        plan_(read_plan(folder / kPlanFile)),
        datasets_(resources.dataset_folders(), resources.data_folders),
        store_(experiment_.store),
        progress_(progress),
        cancellation_(cancellation) {
    const WorkItem* item = plan_.find(key);
    if (item == nullptr) fail(ErrorCode::kData, "'{}' has no work item '{}'", (folder / kPlanFile).string(), key);
    item_ = *item;
    check_plugins();
    if (experiment_.compute.threads > 0) set_thread_count(experiment_.compute.threads);
  }

  void run() {
    for (const std::filesystem::path& part : {store_.result("").parent_path(), store_.artifact("").parent_path()})
      make_folders(part);
    blame_plugins(experiment_.plugins, [this] { work(); });
  }

 private:
  // Their hashes are in the keys, under which other code would store other bits.
  void check_plugins() const {
    if (experiment_.plugins == plan_.plugins) return;
    for (const ModuleOrigin& plugin : plan_.plugins) {
      if (std::find(experiment_.plugins.begin(), experiment_.plugins.end(), plugin) != experiment_.plugins.end())
        continue;
      fail(ErrorCode::kPlugin, "the file of {} has changed since this run began; start the run again", plugin.text());
    }
    fail(ErrorCode::kPlugin, "other plugins are loaded than when this run began; start the run again");
  }

  void work() {
    const auto start = Clock::now();
    if (item_.kind == WorkItem::Kind::kQuantize) {
      const QuantizeReport report = run_quantize();
      write_file_atomically(store_.result(item_.key), quantize_json(report, cost_since(start)));
    } else {
      WorkFolder unfinished(store_.unfinished(), item_.key);
      const EvaluationResult result = run_evaluation(unfinished.path());
      write_file_atomically(store_.result(item_.key), evaluation_json(result, cost_since(start)));
      unfinished.remove();
    }
  }

  [[nodiscard]] Cost cost_since(Clock::time_point start) {
    return {std::chrono::duration<double>(Clock::now() - start).count(), peak_resident_bytes(),
            watch_.peak_anonymous()};
  }

  [[nodiscard]] std::shared_ptr<Model> open(const std::filesystem::path& path, Model::Residency residency,
                                            Execution execution) const {
    ComputeOptions options = experiment_.compute.options();
    options.execution = execution;
    return Model::open(path, options, residency, runtime_readers(registries_.quantization));
  }
  [[nodiscard]] Model::Residency residency() const {
    return item_.placement.streamed ? Model::Residency::kStreamed : Model::Residency::kResident;
  }
  [[nodiscard]] const std::filesystem::path& base_path() const {
    return experiment_.models[static_cast<std::size_t>(item_.model)].path;
  }
  [[nodiscard]] std::filesystem::path evaluated_path() const {
    if (item_.recipe < 0) return base_path();
    if (!item_.artifact_key.empty()) return store_.artifact(item_.artifact_key);
    return experiment_.recipes[static_cast<std::size_t>(item_.recipe)].artifact;
  }

  QuantizeReport run_quantize() {
    QuantizeRequest request;
    request.model = open(base_path(), Model::Residency::kStreamed, Execution::kSimulated);
    request.recipe = experiment_.recipes[static_cast<std::size_t>(item_.recipe)].recipe;
    request.seed = static_cast<std::uint64_t>(item_.seed);
    request.output = store_.artifact(item_.key);
    request.memory = {item_.placement.held_bytes, item_.placement.spill_streams};
    if (item_.shares_statistics) request.statistics = experiment_.output / kStatisticsFolder;
    std::optional<CalibrationSet> calibration;
    if (item_.calibration >= 0) {
      calibration =
          CalibrationSource(experiment_, datasets_).draw(item_.calibration, item_.seed, request.model->tokenizer());
      request.calibration = &*calibration;
    }
    return quantize(request, progress_, cancellation_);
  }

  EvaluationResult run_evaluation(const std::filesystem::path& work_folder) {
    const Evaluation& evaluation = *experiment_.evaluations[static_cast<std::size_t>(item_.evaluation)].evaluation;
    const std::shared_ptr<Model> model = open(evaluated_path(), residency(), experiment_.compute.execution);
    const bool is_baseline = item_.recipe < 0;
    std::shared_ptr<Model> baseline;
    if (!is_baseline && evaluation.needs_baseline()) {
      baseline = open(base_path(), Model::Residency::kStreamed, experiment_.compute.execution);
    }
    Scorer::Options options;
    options.batch_tokens = experiment_.compute.batch_tokens;
    options.work_folder = work_folder;
    options.wave_tokens = item_.placement.wave_tokens;
    const Scorer scorer(*model, options, progress_, cancellation_);
    EvaluationContext context{scorer, datasets_,   static_cast<std::uint64_t>(item_.seed),
                              {},     is_baseline, baseline.get()};
    if (!item_.reference_key.empty()) context.reference_folder = store_.reference(item_.reference_key);
    EvaluationResult result = evaluation.run(context);
    result.products = model->products();
    return result;
  }

  const Registries& registries_;
  Experiment experiment_;
  Plan plan_;
  DatasetCatalog datasets_;
  Store store_;
  Progress& progress_;
  const Cancellation& cancellation_;
  WorkItem item_;
  MemoryWatch watch_;
};

}  // namespace

void run_work_item(const std::filesystem::path& folder, const std::string& key, const Registries& registries,
                   const Resources& resources, Progress& progress, const Cancellation& cancellation) {
  Worker(folder, key, registries, resources, progress, cancellation).run();
}

void record_failure(const std::filesystem::path& file, int exit_status, const std::string& message) {
  write_failure(file, {exit_status, message});
}

}  // namespace lowbit
