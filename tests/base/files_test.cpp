#include "lowbit/base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::error_text;
using testing::TemporaryFolder;

std::size_t count_files(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
}

TEST(AtomicFile, AppearsOnCommitOnly) {
  const TemporaryFolder folder;
  const auto path = folder / "x.bin";
  AtomicFile file(path);
  file.write("hello ");
  file.write("world");
  EXPECT_EQ(file.size(), 11U);
  EXPECT_FALSE(std::filesystem::exists(path));
  file.commit();
  EXPECT_EQ(read_file(path), "hello world");
  EXPECT_EQ(count_files(folder.path()), 1U);
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const TemporaryFolder folder;
  { AtomicFile(folder / "x.bin").write("partial"); }
  EXPECT_EQ(count_files(folder.path()), 0U);
}

TEST(AtomicFile, KeepsTheOldContentUntilCommit) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", "old");
  {
    AtomicFile file(folder / "x");
    file.write("new");
    EXPECT_EQ(read_file(folder / "x"), "old");
  }
  EXPECT_EQ(read_file(folder / "x"), "old");
  write_file_atomically(folder / "x", "new");
  EXPECT_EQ(read_file(folder / "x"), "new");
}

TEST(AtomicFile, NamesFileAndReasonWhenTheFolderIsMissing) {
  const TemporaryFolder folder;
  const auto path = folder / "none" / "x";
  EXPECT_EQ(error_text(ErrorCode::kIo, [&] { AtomicFile file(path); }),
            "cannot write '" + path.string() + "': No such file or directory");
}

TEST(AtomicFile, NamesFileAndReasonWhenTheFolderIsNotWritable) {
  if (::geteuid() == 0) GTEST_SKIP() << "the superuser may write everywhere";
  const TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  const auto path = folder / "x";
  EXPECT_EQ(error_text(ErrorCode::kIo, [&] { AtomicFile file(path); }),
            "cannot write '" + path.string() + "': Permission denied");
}

TEST(AtomicFile, ReportsAFailedWriteAndLeavesNothing) {
  const TemporaryFolder folder;
  const auto path = folder / "x";
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string text = error_text(ErrorCode::kIo, [&] { write_file_atomically(path, std::string(4000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(text, "cannot write '" + path.string() + "': File too large");
  EXPECT_EQ(count_files(folder.path()), 0U);
}

TEST(AtomicFile, ReportsATargetThatIsAFolder) {
  const TemporaryFolder folder;
  make_folders(folder / "x" / "y");
  EXPECT_THAT(error_text(ErrorCode::kIo, [&] { write_file_atomically(folder / "x", "text"); }),
              ::testing::HasSubstr("Is a directory"));
  EXPECT_EQ(count_files(folder.path()), 1U);
}

TEST(MappedFile, ShowsTheBytesAndOutlivesTheName) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", "abc");
  const auto file = MappedFile::open(folder / "x");
  std::filesystem::remove(folder / "x");
  EXPECT_EQ(file->text(), "abc");
  EXPECT_EQ(file->bytes().size(), 3U);
  EXPECT_EQ(file->path(), folder / "x");
}

TEST(MappedFile, CopiesAPart) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", "abcdef");
  const auto file = MappedFile::open(folder / "x");
  std::string part(3, ' ');
  file->copy_part(file->bytes().subspan(2, part.size()), reinterpret_cast<std::byte*>(part.data()));
  EXPECT_EQ(part, "cde");
  file->copy_part({}, nullptr);
}

TEST(MappedFile, SaysThatAFileHasBecomeShorter) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", "abcdef");
  const auto file = MappedFile::open(folder / "x");
  std::filesystem::resize_file(folder / "x", 4);
  std::string part(3, ' ');
  EXPECT_EQ(
      error_text(
          ErrorCode::kData,
          [&] { file->copy_part(file->bytes().subspan(2, part.size()), reinterpret_cast<std::byte*>(part.data())); }),
      "'" + (folder / "x").string() +
          "' ends at byte 4 and had 6 bytes when it was opened; leave it as it is while it is read");
}

TEST(MappedFile, TakesAnEmptyFile) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", "");
  EXPECT_EQ(MappedFile::open(folder / "x")->bytes().size(), 0U);
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const TemporaryFolder folder;
  const auto none = folder / "none";
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)MappedFile::open(none); }),
            "cannot open '" + none.string() + "': No such file or directory");
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)MappedFile::open(folder.path()); }),
            "'" + folder.path().string() + "' is not a regular file");
  const auto pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)MappedFile::open(pipe); }),
            "'" + pipe.string() + "' is not a regular file");
}

TEST(ReadFile, HoldsItsLimit) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", std::string(2048, 'x'));
  EXPECT_EQ(read_file(folder / "x", 2048).size(), 2048U);
  EXPECT_EQ(error_text(ErrorCode::kData, [&] { (void)read_file(folder / "x", 1024); }),
            "'" + (folder / "x").string() + "' has 2.0 KiB, expected at most 1.0 KiB");
}

TEST(MakeFolders, MakesParentsAndReportsAFileInTheWay) {
  const TemporaryFolder folder;
  make_folders(folder / "a" / "b");
  make_folders(folder / "a" / "b");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a" / "b"));
  write_file_atomically(folder / "f", "");
  EXPECT_EQ(error_text(ErrorCode::kIo, [&] { make_folders(folder / "f" / "b"); }),
            "cannot make the folder '" + (folder / "f" / "b").string() + "': Not a directory");
}

TEST(FreeDiskBytes, AsksTheNearestExistingParent) {
  const TemporaryFolder folder;
  EXPECT_GT(free_disk_bytes(folder / "not" / "there"), 0U);
}

TEST(FormatBytes, ChoosesTheUnit) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(312 * 1024), "312 KiB");
  EXPECT_EQ(format_bytes((std::uint64_t{1} << 20) - 1), "1.0 MiB");
  EXPECT_EQ(format_bytes(std::uint64_t{3} << 29), "1.5 GiB");
  EXPECT_EQ(format_bytes(std::uint64_t{5000} << 40), "5000 TiB");
}

}  // namespace
}  // namespace lowbit
