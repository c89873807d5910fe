#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// One running task as the user sees it. Ends when destroyed. Calls come one at a time.
class ProgressTask {
 public:
  virtual ~ProgressTask() = default;
  virtual void advance(std::int64_t count = 1) = 0;
  /// A short remark behind the bar, for example the layer's name.
  virtual void note(std::string_view text) = 0;
};

/// Where progress is shown. Libraries get one in their context and never print by themselves.
class Progress {
 public:
  virtual ~Progress() = default;
  /// `total` units ("blocks", "windows") are to be done.
  [[nodiscard]] virtual std::unique_ptr<ProgressTask> start(std::string title, std::int64_t total,
                                                            std::string unit) = 0;
};

/// Shows nothing.
[[nodiscard]] std::unique_ptr<Progress> silent_progress();
/// A bar with rate and remaining time on a terminal, a plain line now and then elsewhere; both on standard error.
[[nodiscard]] std::unique_ptr<Progress> console_progress();

}  // namespace LOWBIT_EXPORT
