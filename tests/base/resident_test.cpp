#include "lowbit/base/resident.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>

#include "lowbit/base/spill_file.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::error_text;
using testing::TemporaryFolder;

constexpr std::size_t kSize = std::size_t{16} << 20;

// Pages of files that this process holds, in bytes.
std::int64_t resident_file_bytes() {
  std::ifstream stream("/proc/self/status");
  std::int64_t sum = 0;
  for (std::string key; stream >> key;) {
    std::int64_t value = 0;
    if ((key == "RssFile:" || key == "RssShmem:") && stream >> value) sum += value * 1024;
  }
  return sum;
}

int sum_of(std::span<const std::byte> bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), 0, [](int sum, std::byte b) { return sum + static_cast<int>(b); });
}

TEST(ReleaseResident, LetsAPartLeaveTheMemoryAndKeepsItsContent) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", std::string(kSize, '\1'));
  const auto file = MappedFile::open(folder / "x");
  const std::span<const std::byte> middle = file->bytes().subspan(100, kSize - 200);
  EXPECT_EQ(sum_of(middle), static_cast<int>(middle.size()));
  const std::int64_t before = resident_file_bytes();
  release_resident(*file, middle);
  EXPECT_LE(resident_file_bytes(), before - static_cast<std::int64_t>(kSize / 2));
  EXPECT_EQ(sum_of(middle), static_cast<int>(middle.size()));
}

// Neighbours of what is touched come into the memory with it, but do not stay. Linux takes more of them in large files.
TEST(ReleaseResident, LeavesNothingOfPartsReadOneAfterTheOther) {
  constexpr std::size_t kLargeSize = std::size_t{64} << 20;
  constexpr std::size_t kPart = 300'000;
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", "");
  std::filesystem::resize_file(folder / "x", kLargeSize);
  const auto file = MappedFile::open(folder / "x");
  const std::int64_t before = resident_file_bytes();
  for (std::size_t first = 0; first + kPart <= kLargeSize; first += kPart) {
    const std::span<const std::byte> part = file->bytes().subspan(first, kPart);
    EXPECT_EQ(sum_of(part), 0);
    release_resident(*file, part);
  }
  EXPECT_LE(resident_file_bytes(), before + (std::int64_t{256} << 10));
}

TEST(ReleaseResident, TouchesNothingOutsideItsFile) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", "abc");
  const auto file = MappedFile::open(folder / "x");
  const std::vector<std::byte> other(kSize, std::byte{7});
  release_resident(*file, other);
  EXPECT_EQ(sum_of(other), static_cast<int>(7 * kSize));
}

// Only that nothing is mapped by it can be seen from here, and that it takes parts that reach beyond the file.
TEST(ReadAhead, BringsNothingIntoTheProcess) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", std::string(kSize, '\1'));
  const auto file = MappedFile::open(folder / "x");
  const std::int64_t before = resident_file_bytes();
  read_ahead(*file, file->bytes());
  read_ahead(*file, {file->bytes().data() + kSize / 2, kSize});
  read_ahead(*file, {file->bytes().data() + kSize, kSize});
  read_ahead(*file, {});
  EXPECT_LE(resident_file_bytes(), before + (std::int64_t{256} << 10));
  EXPECT_EQ(sum_of(file->bytes()), static_cast<int>(kSize));
}

TEST(SpillFile, KeepsWhatWasReleased) {
  const TemporaryFolder folder;
  const auto spill = SpillFile::make(folder.path(), kSize);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  for (std::byte& byte : spill->bytes()) byte = std::byte{1};
  const std::int64_t before = resident_file_bytes();
  spill->release(spill->bytes());
  EXPECT_LE(resident_file_bytes(), before - static_cast<std::int64_t>(kSize / 2));
  EXPECT_EQ(sum_of(spill->bytes()), static_cast<int>(kSize));
}

TEST(SpillFile, SaysWhenTheDiskHasNoRoom) {
  const TemporaryFolder folder;
  const std::string text =
      error_text(ErrorCode::kIo, [&] { (void)SpillFile::make(folder.path(), std::size_t{1} << 55); });
  EXPECT_NE(text.find("cannot set"), std::string::npos) << text;
  EXPECT_NE(text.find(folder.path().string()), std::string::npos) << text;
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace lowbit
