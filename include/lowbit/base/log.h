#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

/// Messages below `level` are dropped. The default is `kWarning`, so that a library user hears of trouble only.
void set_log_level(LogLevel level);
[[nodiscard]] bool log_enabled(LogLevel level);
/// Also writes every message, with its time, to this file; an empty path ends that. Throws `kIo`.
void set_log_file(std::string_view path);
/// Writes one line to standard error (and the log file). Safe from any thread.
void log_line(LogLevel level, std::string_view message);

namespace log {

template <typename... Args>
void write(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(level)) log_line(level, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  write(LogLevel::kDebug, format, std::forward<Args>(args)...);
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  write(LogLevel::kInfo, format, std::forward<Args>(args)...);
}
template <typename... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  write(LogLevel::kWarning, format, std::forward<Args>(args)...);
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(LogLevel::kError, format, std::forward<Args>(args)...);
}

}  // namespace log
}  // namespace lowbit
