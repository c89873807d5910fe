#include "lowbit/base/work_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <thread>

#include "lowbit/base/files.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::TemporaryFolder;

std::set<std::string> names_in(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

// A process that does `work` and is then killed, so that no destructor runs.
template <typename Work>
void die_in(Work work) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    work();
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
}

TEST(AbandonedWrites, AreRemovedAndThoseOfTheLivingAreNot) {
  const TemporaryFolder folder;
  die_in([&] {
    auto* file = new AtomicFile(folder / "a.json");
    file->write("half");
  });
  die_in([&] { (void)new AtomicFile(folder / "b.json"); });
  EXPECT_EQ(names_in(folder.path()).size(), 2U);
  AtomicFile living(folder / "a.json");
  living.write("whole");
  remove_abandoned_writes(folder.path(), "a.json");
  EXPECT_EQ(names_in(folder.path()).size(), 2U);  // the living one, and that of b.json
  remove_abandoned_writes(folder.path());
  EXPECT_EQ(names_in(folder.path()).size(), 1U);
  living.commit();
  EXPECT_EQ(names_in(folder.path()), std::set<std::string>{"a.json"});
  EXPECT_EQ(read_file(folder / "a.json"), "whole");
}

TEST(AbandonedWrites, AreNothingElse) {
  const TemporaryFolder folder;
  const std::set<std::string> names = {"a.json.part-abcdef", ".a.json", ".part-abcdef", ".a.part-abc",
                                       ".a.parts-abcdef"};
  for (const std::string& name : names) write_file_atomically(folder / name, "mine");
  remove_abandoned_writes(folder.path());
  EXPECT_EQ(names_in(folder.path()), names);
  remove_abandoned_writes(folder / "none");
}

TEST(WorkFolder, IsFoundAgainByItsKeyAfterAKill) {
  const TemporaryFolder folder;
  die_in([&] {
    const WorkFolder work(folder.path(), "key");
    write_file_atomically(work.path() / "done", "3");
  });
  WorkFolder work(folder.path(), "key");
  EXPECT_EQ(read_file(work.path() / "done"), "3");
  work.remove();
  EXPECT_TRUE(names_in(folder.path()).empty());
}

constexpr std::chrono::milliseconds kNone{0};

TEST(WorkFolder, IsAnotherForEachThatLives) {
  const TemporaryFolder folder;
  auto first = std::make_unique<WorkFolder>(folder.path(), "key", kNone);
  auto second = std::make_unique<WorkFolder>(folder.path(), "key", kNone);
  const WorkFolder other(folder.path(), "other", kNone);
  EXPECT_EQ(names_in(folder.path()), (std::set<std::string>{"key", "key-2", "other"}));
  first->remove();
  EXPECT_EQ(names_in(folder.path()), (std::set<std::string>{"key-2", "other"}));
  WorkFolder again(folder.path(), "key", kNone);
  EXPECT_EQ(again.path(), folder / "key");
  second.reset();  // as a kill leaves it
  again.remove();
  EXPECT_EQ(names_in(folder.path()), std::set<std::string>{"other"});
}

TEST(WorkFolder, WaitsForAHolderThatIsAboutToEnd) {
  const TemporaryFolder folder;
  auto first = std::make_unique<WorkFolder>(folder.path(), "key", kNone);
  std::thread end([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    first.reset();
  });
  const WorkFolder second(folder.path(), "key", std::chrono::seconds(30));
  end.join();
  EXPECT_EQ(second.path(), folder / "key");
}

TEST(ResumableFile, GoesOnWhereAKilledWriterWas) {
  const TemporaryFolder folder;
  die_in([&] {
    auto* file = new ResumableFile(folder / "x", folder / "part");
    file->write("one two thr");
  });
  ResumableFile file(folder / "x", folder / "part");
  EXPECT_EQ(read_file(folder / "part"), "one two thr");
  file.keep(8);
  file.write("3");
  EXPECT_EQ(file.size(), 9U);
  EXPECT_EQ(names_in(folder.path()), std::set<std::string>{"part"});
  file.commit();
  EXPECT_EQ(names_in(folder.path()), std::set<std::string>{"x"});
  EXPECT_EQ(read_file(folder / "x"), "one two 3");
}

TEST(ResumableFile, NamesFileAndReason) {
  const TemporaryFolder folder;
  EXPECT_EQ(testing::error_text(ErrorCode::kIo, [&] { ResumableFile(folder / "x", folder / "none" / "part"); }),
            "cannot write '" + (folder / "none" / "part").string() + "': No such file or directory");
}

}  // namespace
}  // namespace lowbit
