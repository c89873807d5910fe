#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "lowbit/base/cancellation.h"
#include "lowbit/base/export.h"
#include "lowbit/base/progress.h"
#include "lowbit/experiment/experiment.h"
#include "lowbit/experiment/plan.h"
#include "lowbit/experiment/results.h"

namespace lowbit LOWBIT_EXPORT {

struct RunOptions {
  std::filesystem::path
      program;  ///< spawned for each piece of work: `program worker <run folder> <key> <failure file>`
  std::vector<std::string> worker_arguments;              ///< passed on behind those: --data folders, --plugin files
  std::function<void(const std::string& line)> announce;  ///< told what begins and what failed; may be empty
};

/// Runs what the store lacks, each piece in a process of its own, so that a crash or an exhausted memory is one failed
/// cell. This process holds no weights. Writes the resolved config, the plan and `results.json` into the run's folder.
/// Throws `kInterrupted` when cancelled; failed cells are in the results.
[[nodiscard]] Results run_experiment(const Experiment& experiment, const Resources& resources,
                                     const RunOptions& options, const Cancellation& cancellation);

/// The child's side: does one piece of work of the run in `folder`. `registries` must hold the plugins that the run was
/// planned with. Throws what the work throws; what a plugin's module throws that is no `Error`, as `kPlugin`.
void run_work_item(const std::filesystem::path& folder, const std::string& key, const Registries& registries,
                   const Resources& resources, Progress& progress, const Cancellation& cancellation);

/// Leaves the reason of a failure where `run_experiment` looks for it.
void record_failure(const std::filesystem::path& file, int exit_status, const std::string& message);

}  // namespace lowbit
