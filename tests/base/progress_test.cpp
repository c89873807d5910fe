#include "lowbit/base/progress.h"

#include <gtest/gtest.h>

#include <string>

namespace lowbit {
namespace {

// What `action` writes to standard error, which is a file meanwhile and no terminal.
template <typename Action>
std::string standard_error_of(Action action) {
  ::testing::internal::CaptureStderr();
  action();
  return ::testing::internal::GetCapturedStderr();
}

TEST(ConsoleProgress, WritesOnePlainLineForAShortTask) {
  const std::string text = standard_error_of([] {
    const auto progress = console_progress();
    const auto task = progress->start("evaluate", 3, "windows");
    for (int i = 0; i < 3; ++i) {
      task->note("a remark");
      task->advance();
    }
  });
  EXPECT_EQ(text, "evaluate: 3 of 3 windows in 0s\n");
}

TEST(ConsoleProgress, SaysHowFarAnAbandonedTaskCame) {
  const std::string text = standard_error_of([] {
    const auto task = console_progress()->start("solve", 30, "blocks");
    task->advance(7);
  });
  EXPECT_EQ(text, "solve: 7 of 30 blocks in 0s\n");
}

TEST(SilentProgress, WritesNothing) {
  EXPECT_EQ(standard_error_of([] {
              const auto task = silent_progress()->start("solve", 30, "blocks");
              task->note("x");
              task->advance();
            }),
            "");
}

}  // namespace
}  // namespace lowbit
