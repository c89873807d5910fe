#include "session.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "lowbit/base/log.h"
#include "lowbit/plugin/load.h"
#include "lowbit/tensor/parallel.h"

namespace lowbit::cli {

void Session::start() const {
  if (threads > 0) set_thread_count(threads);
  set_log_level(debug ? LogLevel::kDebug : verbose ? LogLevel::kInfo : quiet ? LogLevel::kError : LogLevel::kWarning);
}

std::vector<std::filesystem::path> Session::plugin_files() const {
  std::vector<std::filesystem::path> files;
  const auto add = [&](const std::filesystem::path& file) {
    std::error_code error;
    std::filesystem::path absolute = std::filesystem::canonical(file, error);
    if (error) absolute = file;  // missing, which is said when it is to be loaded, as the user wrote it
    if (std::find(files.begin(), files.end(), absolute) == files.end()) files.push_back(std::move(absolute));
  };
  if (user_plugins) {
    for (const std::filesystem::path& file : lowbit::user_plugins()) add(file);
  }
  for (const std::filesystem::path& file : plugins) add(file);
  return files;
}

Registries Session::registries() const {
  Registries registries = builtin_registries();
  for (const std::filesystem::path& file : plugin_files()) load_plugin(file, registries);
  return registries;
}

std::unique_ptr<Progress> Session::progress() const { return quiet ? silent_progress() : console_progress(); }

std::vector<std::string> Session::child_arguments() const {
  std::vector<std::string> arguments;
  for (const std::filesystem::path& folder : data_folders) {
    arguments.insert(arguments.end(), {"--data", folder.string()});
  }
  for (const std::filesystem::path& file : plugin_files()) {
    arguments.insert(arguments.end(), {"--plugin", file.string()});
  }
  if (threads > 0) arguments.insert(arguments.end(), {"--threads", std::to_string(threads)});
  if (quiet) arguments.emplace_back("--quiet");
  if (verbose) arguments.emplace_back("--verbose");
  if (debug) arguments.emplace_back("--debug");
  return arguments;
}

void Session::add_compute_options(CLI::App& app) {
  app.add_option("--data", data_folders,
                 "Folder searched for dataset and model files before the user's cache; may be repeated");
  app.add_option("--threads", threads, "Threads to compute with; one for each core by default")
      ->check(CLI::Range(1, 1024));
}

std::string count_of(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

ConfigNode yaml_argument(const std::string& text, const std::string& option) {
  std::error_code error;
  const std::string ending = std::filesystem::path(text).extension().string();
  const bool names_a_file = (ending == ".yaml" || ending == ".yml") && text.find_first_of("[{\n") == std::string::npos;
  // One that is missing is said to be: as YAML the name would be a mistake of another kind.
  if (names_a_file || std::filesystem::is_regular_file(text, error)) return ConfigNode::load(text);
  return ConfigNode::parse(text, option);
}

void add_execution_option(CLI::App& command, Execution& execution) {
  const auto choose = [&execution](const std::string& name) {
    for (const Execution each : {Execution::kSimulated, Execution::kPacked, Execution::kAuto}) {
      if (name == execution_name(each)) execution = each;
    }
  };
  command
      .add_option_function<std::string>("--execution", choose,
                                        "Products with quantized weights: simulated (on decoded weights), packed (on "
                                        "the codes, by kernels), or auto (packed where there is a kernel)")
      ->check(CLI::IsMember({"simulated", "packed", "auto"}))
      ->default_str("simulated");
}

bool use_color() { return ::isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr; }

}  // namespace lowbit::cli
