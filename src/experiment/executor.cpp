#include "lowbit/experiment/executor.h"

#include <csignal>
#include <cstring>
#include <map>
#include <set>

#include "experiment/machine.h"
#include "experiment/run_folder.h"
#include "experiment/spawn.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/log.h"
#include "lowbit/base/work_folder.h"

namespace lowbit {
namespace {

class Supervisor {
 public:
  Supervisor(const Experiment& experiment, const Resources& resources, const RunOptions& options,
             const Cancellation& cancellation)
      : experiment_(experiment),
        options_(options),
        cancellation_(cancellation),
        store_(experiment.store),
        plan_(make_plan(experiment, resources)) {}

  Results run() {
    prepare_folders();
    check_disk();
    std::size_t number = 0;
    for (WorkItem& item : plan_.items) {
      ++number;
      if (item.done) continue;
      cancellation_.check();
      if (const std::string blocked = blocking_failure(item); !blocked.empty()) {
        record(item, {exit_code(ErrorCode::kCellFailed), blocked});
        continue;
      }
      announce(fmt::format("[{}/{}] {}", number, plan_.items.size(), item.title));
      warn_about_memory(item);
      work_on(item);
    }
    std::error_code ignored;
    std::filesystem::remove_all(experiment_.output / kStatisticsFolder, ignored);
    const Results results = collect_results(experiment_, plan_, store_);
    write_file_atomically(experiment_.output / kResultsFile, results_json(results));
    return results;
  }

 private:
  void prepare_folders() {
    make_folders(experiment_.output);
    for (const std::filesystem::path& folder : {store_.artifact("").parent_path(), store_.result("").parent_path(),
                                                store_.reference("").parent_path(), store_.failure("").parent_path()}) {
      make_folders(folder);
    }
    remove_what_killed_runs_left();
    write_file_atomically(experiment_.output / kResolvedConfig, experiment_.resolved.to_yaml());
    write_plan(experiment_.output / kPlanFile, plan_);
  }

  // Unfinished work that goes on stays; what its process left behind after the result was stored does not.
  void remove_what_killed_runs_left() const {
    for (const std::filesystem::path& folder :
         {experiment_.output, store_.result("").parent_path(), store_.failure("").parent_path()}) {
      remove_abandoned_writes(folder);
    }
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(store_.unfinished(), error)) {
      const std::string name = entry.path().filename().string();
      const WorkItem* item = plan_.find(name.substr(0, name.find('-')));
      if (item != nullptr && item->done) WorkFolder(store_.unfinished(), item->key, {}).remove();
    }
  }

  void check_disk() const {
    std::int64_t needed = 0;
    for (const WorkItem& item : plan_.items) needed += item.done ? 0 : item.estimated_disk;
    const std::uint64_t available = free_disk_bytes(store_.folder());
    if (static_cast<std::uint64_t>(needed) <= available) return;
    fail(ErrorCode::kIo,
         "the run needs about {} of disk in '{}', which has {} free; give another 'store' or fewer recipes",
         format_bytes(static_cast<std::uint64_t>(needed)), store_.folder().string(), format_bytes(available));
  }

  void warn_about_memory(const WorkItem& item) const {
    const std::int64_t available = available_memory_bytes();
    if (available == 0 || item.estimated_memory <= available) return;
    log::warn(
        "{} needs about {} of memory and {} are available; a 'compute: {{memory_limit: ...}}' or fewer calibration "
        "tokens take less",
        item.title, format_bytes(static_cast<std::uint64_t>(item.estimated_memory)),
        format_bytes(static_cast<std::uint64_t>(available)));
  }

  // The reason why an item cannot be tried, or nothing.
  std::string blocking_failure(const WorkItem& item) const {
    if (item.kind == WorkItem::Kind::kEvaluate && !item.artifact_key.empty() && failed_.count(item.artifact_key) != 0) {
      return "not run: its quantization failed";
    }
    if (item.kind == WorkItem::Kind::kEvaluate && item.recipe >= 0 && !item.reference_key.empty() &&
        failed_.count(item.reference_key) != 0) {
      return "not run: the float model's evaluation failed, with which it is compared";
    }
    return "";
  }

  void work_on(WorkItem& item) {
    const std::filesystem::path failure = store_.failure(item.key);
    std::error_code ignored;
    std::filesystem::remove(failure, ignored);
    std::vector<std::string> arguments = {"worker", experiment_.output.string(), item.key, failure.string()};
    arguments.insert(arguments.end(), options_.worker_arguments.begin(), options_.worker_arguments.end());
    const ProcessEnd end = run_process(options_.program, arguments, cancellation_);
    if (cancellation_.requested() || end.exit_code == exit_code(ErrorCode::kInterrupted)) {
      fail(ErrorCode::kInterrupted, "interrupted; run the same command again to continue");
    }
    if (end.exit_code == 0 && store_.has(item)) {
      item.done = true;
      return;
    }
    record(item, reason_of(end, failure));
  }

  static Failure reason_of(const ProcessEnd& end, const std::filesystem::path& file) {
    if (const auto failure = read_failure(file)) return *failure;
    if (end.signal == SIGKILL) return {70, "its process was killed (signal 9), most likely because memory ran out"};
    if (end.signal != 0)
      return {70, fmt::format("its process was ended by signal {} ({})", end.signal, ::strsignal(end.signal))};
    return {end.exit_code, fmt::format("its process ended with status {} and left no result", end.exit_code)};
  }

  void record(const WorkItem& item, const Failure& failure) {
    write_failure(store_.failure(item.key), failure);
    failed_.insert(item.key);
    if (item.recipe < 0) failed_.insert(item.reference_key);
    announce(fmt::format("failed: {}: {}", item.title, failure.message));
  }

  void announce(const std::string& line) const {
    if (options_.announce) options_.announce(line);
  }

  const Experiment& experiment_;
  const RunOptions& options_;
  const Cancellation& cancellation_;
  Store store_;
  Plan plan_;
  std::set<std::string> failed_;
};

}  // namespace

Results run_experiment(const Experiment& experiment, const Resources& resources, const RunOptions& options,
                       const Cancellation& cancellation) {
  return Supervisor(experiment, resources, options, cancellation).run();
}

}  // namespace lowbit
