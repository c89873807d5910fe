#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>

#include "data/readers.h"
#include "data/unpack.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

constexpr std::uint64_t kLimit = 1 << 20;

std::string packed(std::string text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string error_of(std::string_view data, std::uint64_t limit = kLimit) {
  try {
    (void)gunzip(data, "a.gz", limit);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData);
    return error.what();
  }
  return "no error";
}

TEST(Gunzip, UnpacksMembersOneAfterTheOther) {
  const std::string large(300000, 'x');
  EXPECT_EQ(gunzip(packed("one\n"), "a.gz", kLimit), "one\n");
  EXPECT_EQ(gunzip(packed("one\n") + packed(large), "a.gz", kLimit), "one\n" + large);
}

TEST(Gunzip, RefusesWhatGrowsBeyondTheLimit) {
  const std::string bomb = packed(std::string(1 << 20, '\0') + "x");
  EXPECT_LT(bomb.size(), 2000U);
  EXPECT_EQ(error_of(bomb), "a.gz: unpacks to more than 1.0 MiB, the most that is read of one file");
  EXPECT_EQ(error_of(bomb, kLimit + 1), "no error");
}

TEST(Gunzip, RefusesDamagedAndTruncatedData) {
  const std::string good = packed("a text that is long enough to be cut somewhere");
  EXPECT_EQ(error_of(""), "a.gz: damaged gzip data at byte 0: it ends too soon");
  EXPECT_EQ(error_of("no gzip at all"), "a.gz: damaged gzip data at byte 2: incorrect header check");
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_NE(error_of(good.substr(0, size)), "no error") << size;
  std::string bad = good;
  bad[bad.size() - 6] ^= 1;  // of the checksum
  EXPECT_NE(error_of(bad).find("incorrect data check"), std::string::npos);
  EXPECT_NE(error_of(good + "tail"), "no error");
}

TEST(Gunzip, StopsOnceItHasEnoughLines) {
  std::string lines;
  for (int i = 0; i < 100000; ++i) lines += std::to_string(i) + "\n";
  const std::string text = gunzip(packed(lines), "a.gz", kLimit, 10);
  EXPECT_GE(std::count(text.begin(), text.end(), '\n'), 10);
  EXPECT_LT(text.size(), lines.size() / 2);
}

TEST(Gunzip, IsUsedForNamesInGz) {
  const testing::TemporaryFolder folder;
  write_file_atomically(folder / "a.txt.gz", packed("one\ntwo\nthree\n"));
  EXPECT_EQ(read_text(folder / "a.txt.gz"), "one\ntwo\nthree\n");
  EXPECT_EQ(read_text(folder / "a.txt.gz", 2), "one\ntwo\n");
}

}  // namespace
}  // namespace lowbit
