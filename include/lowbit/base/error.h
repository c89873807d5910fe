#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// Chosen by what the caller does next; `exit_code` gives the program's exit status for each.
enum class ErrorCode {
  kCellFailed,   ///< a cell of an experiment failed, the others were completed
  kConfig,       ///< the experiment file, an option or an argument is wrong: mend it
  kData,         ///< a model, dataset or result file is missing, damaged or hostile
  kUnsupported,  ///< well formed, but lowbit cannot do it
  kDevice,       ///< the requested device is absent or failed
  kPlugin,       ///< a plugin cannot be loaded or broke its contract
  kIo,           ///< the operating system refused: disk full, no rights, no such folder
  kInternal,     ///< our own mistake
  kInterrupted,  ///< stopped by Ctrl-C or a signal
};

/// The exit status of the program: 1, 2, 3, 4, 5, 6, 7, 70, 130 in the order of `ErrorCode`.
[[nodiscard]] int exit_code(ErrorCode code) noexcept;

/// The only exception lowbit throws. The message says what, which value, what was expected and the remedy; it starts
/// in lower case and has no full stop, so that context can be put before it.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// Throws `Error` with a formatted message.
template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

/// Runs `action`; an `Error` it throws gets "<context>: " before its message and keeps its code.
template <typename Action>
auto with_context(std::string_view context, Action&& action) -> decltype(action()) {
  try {
    return action();
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", context, error.what()));
  }
}

[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace lowbit

/// For our own mistakes only, never for what a user, a file or a device can cause. Throws `ErrorCode::kInternal`.
#define LOWBIT_ASSERT(condition) \
  ((condition) ? void(0) : ::lowbit::assertion_failed(#condition, __FILE__, __LINE__))
