#include "lowbit/base/log.h"

#include <gtest/gtest.h>

#include <string>

#include "lowbit/base/files.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

class LogTest : public ::testing::Test {
 protected:
  void TearDown() override {
    set_log_file("");
    set_log_level(LogLevel::kWarning);
  }
};

TEST_F(LogTest, DropsMessagesBelowTheLevel) {
  EXPECT_FALSE(log_enabled(LogLevel::kInfo));
  EXPECT_TRUE(log_enabled(LogLevel::kWarning));
  set_log_level(LogLevel::kOff);
  EXPECT_FALSE(log_enabled(LogLevel::kError));
}

TEST_F(LogTest, KeepsMessagesFromInfoUpInTheFile) {
  const testing::TemporaryFolder folder;
  set_log_level(LogLevel::kError);
  set_log_file((folder / "log.txt").string());
  log::debug("too detailed");
  log::info("block {} of {}", 3, 30);
  log::warn("100 % of {{braces}}");
  set_log_file("");
  log::info("after the end");
  const std::string text = read_file(folder / "log.txt");
  EXPECT_EQ(text.find("too detailed"), std::string::npos);
  EXPECT_NE(text.find(" info block 3 of 30\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" warning 100 % of {braces}\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("after the end"), std::string::npos);
}

TEST_F(LogTest, NamesALogFileThatCannotBeWritten) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "file", "");
  const std::string path = (folder / "file" / "log.txt").string();
  EXPECT_NE(
      testing::error_text(ErrorCode::kIo, [&] { set_log_file(path); }).find("cannot write the log file '" + path + "'"),
      std::string::npos);
}

}  // namespace
}  // namespace lowbit
