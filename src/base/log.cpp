#include "lowbit/base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>

#include "base/terminal.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
    case LogLevel::kOff: return spdlog::level::off;
  }
  return spdlog::level::off;
}

// The two sinks: the terminal, whose level the user chooses, and the optional file, which keeps everything from info up.
struct Log {
  std::mutex mutex;
  std::shared_ptr<spdlog::sinks::stderr_color_sink_mt> console;
  std::shared_ptr<spdlog::sinks::basic_file_sink_mt> file;
  LogLevel level = LogLevel::kWarning;

  Log() : console(std::make_shared<spdlog::sinks::stderr_color_sink_mt>()) {
    console->set_pattern("%^%l%$: %v");
    if (std::getenv("NO_COLOR") != nullptr) console->set_color_mode(spdlog::color_mode::never);
  }
};

Log& the_log() {
  static Log log;  // made on first use, so that nothing runs before main
  return log;
}

}  // namespace

void set_log_level(LogLevel level) {
  Log& log = the_log();
  const std::lock_guard lock(log.mutex);
  log.level = level;
}

bool log_enabled(LogLevel level) {
  Log& log = the_log();
  const std::lock_guard lock(log.mutex);
  return level >= log.level || (log.file && level >= LogLevel::kInfo);
}

void set_log_file(std::string_view path) {
  Log& log = the_log();
  const std::lock_guard lock(log.mutex);
  log.file.reset();
  if (path.empty()) return;
  try {
    log.file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(std::string(path));
  } catch (const spdlog::spdlog_ex& problem) {
    fail(ErrorCode::kIo, "cannot write the log file '{}': {}", path, problem.what());
  }
  log.file->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
}

void log_line(LogLevel level, std::string_view message) {
  Log& log = the_log();
  const std::lock_guard lock(log.mutex);
  const spdlog::details::log_msg entry("", to_spdlog(level), spdlog::string_view_t(message.data(), message.size()));
  if (level >= log.level) {
    clear_progress_line();
    log.console->log(entry);
  }
  if (log.file && level >= LogLevel::kInfo) {
    log.file->log(entry);
    log.file->flush();
  }
}

}  // namespace lowbit
