#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/cancellation.h"
#include "lowbit/base/progress.h"
#include "lowbit/experiment/experiment.h"
#include "lowbit/experiment/resources.h"

namespace lowbit::cli {

/// What every sub-command shares: the global options and what they lead to.
struct Session {
  std::vector<std::filesystem::path> data_folders;
  std::vector<std::filesystem::path> plugins;
  int threads = 0;
  bool quiet = false;
  bool verbose = false;
  bool debug = false;
  bool user_plugins = true;       ///< load those of the user's config file; a worker gets all by --plugin
  std::filesystem::path program;  ///< the running executable, for children
  const Cancellation* cancellation = nullptr;
  std::function<int()> command;  ///< set by the sub-command that was given; returns the exit status

  /// Applies threads and log level; call at the start of a command.
  void start() const;
  [[nodiscard]] Resources resources() const { return find_resources(data_folders); }
  /// What is built in, then the plugins of the user's config file, then those of the command line.
  [[nodiscard]] Registries registries() const;
  [[nodiscard]] std::unique_ptr<Progress> progress() const;
  /// The files that `registries` loads, as absolute paths, each once.
  [[nodiscard]] std::vector<std::filesystem::path> plugin_files() const;
  /// The global options as a child process needs them.
  [[nodiscard]] std::vector<std::string> child_arguments() const;
  /// Options that only commands which compute have.
  void add_compute_options(CLI::App& command);
};

// One function a sub-command, each in its own file.
void add_bench(CLI::App& app, Session& session);
void add_check(CLI::App& app, Session& session);
void add_calibration(CLI::App& app, Session& session);
void add_datasets(CLI::App& app, Session& session);
void add_describe(CLI::App& app, Session& session);
void add_evaluate(CLI::App& app, Session& session);
void add_generate(CLI::App& app, Session& session);
void add_inspect(CLI::App& app, Session& session);
void add_list(CLI::App& app, Session& session);
void add_plan(CLI::App& app, Session& session);
void add_plugin(CLI::App& app, Session& session);
void add_quantize(CLI::App& app, Session& session);
void add_run(CLI::App& app, Session& session);
void add_worker(CLI::App& app, Session& session);

/// "1 model", "2 models".
[[nodiscard]] std::string count_of(std::size_t count, std::string_view what);

/// YAML given on the command line: a file when `text` names one, else the text itself, reported as
/// "<option>:line:column".
[[nodiscard]] ConfigNode yaml_argument(const std::string& text, const std::string& option);
/// `--execution simulated|packed|auto`, which sets `execution`.
void add_execution_option(CLI::App& command, Execution& execution);
/// True when standard output is a terminal and NO_COLOR is not set.
[[nodiscard]] bool use_color();

}  // namespace lowbit::cli
