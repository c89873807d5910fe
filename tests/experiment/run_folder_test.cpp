#include "experiment/run_folder.h"

#include <gtest/gtest.h>

#include <csignal>

#include "experiment/spawn.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"

namespace lowbit {
namespace {

std::filesystem::path scratch() {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "lowbit-run-folder";
  make_folders(folder);
  return folder;
}

TEST(PlanFile, ReadsBackWhatItWrote) {
  Plan plan;
  WorkItem item;
  item.kind = WorkItem::Kind::kQuantize;
  item.key = "abc";
  item.title = "quantize x";
  item.seed = 7;
  item.tokens = 123;
  item.placement = {true, 4096, 17, true};
  item.shares_statistics = true;
  plan.items.push_back(item);
  plan.cells.push_back({0, 1, 2, 3, 7, "abc", "def"});
  plan.plugins.push_back({"mine", "1.0", {~std::uint64_t{0}, 7}});
  plan.overlaps.push_back({.calibration = "c",
                           .dataset = "d",
                           .split = "train",
                           .evaluation = "e",
                           .documents = 40,
                           .whole = 2,
                           .run = 3,
                           .ngram = 13,
                           .excluded = true});
  write_plan(scratch() / "plan.json", plan);
  const Plan read = read_plan(scratch() / "plan.json");
  ASSERT_EQ(read.items.size(), 1U);
  EXPECT_EQ(read.items[0].kind, WorkItem::Kind::kQuantize);
  EXPECT_EQ(read.items[0].seed, 7);
  EXPECT_TRUE(read.items[0].placement.streamed && read.items[0].placement.spill_streams);
  EXPECT_EQ(read.items[0].placement.wave_tokens, 4096);
  EXPECT_EQ(read.items[0].placement.held_bytes, 17);
  EXPECT_TRUE(read.items[0].shares_statistics);
  ASSERT_EQ(read.cells.size(), 1U);
  EXPECT_EQ(read.cells[0].artifact, "def");
  EXPECT_EQ(read.plugins, plan.plugins);
  ASSERT_EQ(read.overlaps.size(), 1U);
  EXPECT_EQ(
      read.overlaps[0].text(),
      "calibration set 'c': of the 40 documents of 'd' (train), 2 are items of 'e' and 3 more share 13 words in a "
      "row with one; they were left out");
  EXPECT_NE(read.find("abc"), nullptr);
  EXPECT_EQ(read.find("zzz"), nullptr);
}

TEST(PlanFile, SaysWhenItIsNoPlan) {
  write_file_atomically(scratch() / "bad.json", "{\"version\": 5}");
  try {
    (void)read_plan(scratch() / "bad.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("is not a plan of lowbit"), std::string::npos);
  }
}

TEST(FailureFile, KeepsReasonAndStatus) {
  EXPECT_FALSE(read_failure(scratch() / "none.json").has_value());
  write_failure(scratch() / "failures" / "k.json", {3, "no such file"});
  const auto failure = read_failure(scratch() / "failures" / "k.json");
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->exit_code, 3);
  EXPECT_EQ(failure->message, "no such file");
}

TEST(RunProcess, TellsStatusFromSignal) {
  const Cancellation cancellation;
  EXPECT_EQ(run_process("/bin/sh", {"-c", "exit 3"}, cancellation).exit_code, 3);
  const ProcessEnd killed = run_process("/bin/sh", {"-c", "kill -9 $$"}, cancellation);
  EXPECT_EQ(killed.exit_code, -1);
  EXPECT_EQ(killed.signal, 9);
  EXPECT_THROW((void)run_process("/no/such/program", {}, cancellation), Error);
}

TEST(RunProcess, HandsACancellationOn) {
  Cancellation cancellation;
  cancellation.request();
  EXPECT_EQ(run_process("/bin/sleep", {"60"}, cancellation).signal, SIGTERM);
}

}  // namespace
}  // namespace lowbit
