#include "data/unpack.h"

#include <bzlib.h>
#include <gmock/gmock.h>
#include <zstd.h>

#include <algorithm>

#include "data/readers.h"
#include "lowbit/base/files.h"
#include "support/error_text.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::error_text;
using ::testing::HasSubstr;
constexpr std::uint64_t kLimit = 1 << 20;

std::string bzip2(std::string text) {
  auto size = static_cast<unsigned>(text.size() + text.size() / 100 + 600);
  std::string out(size, '\0');
  EXPECT_EQ(BZ2_bzBuffToBuffCompress(out.data(), &size, text.data(), static_cast<unsigned>(text.size()), 9, 0, 0),
            BZ_OK);
  out.resize(size);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

struct Form {
  const char* extension;
  std::string (*pack)(std::string);
};
void PrintTo(const Form& form, std::ostream* out) { *out << form.extension; }

class Unpack : public ::testing::TestWithParam<Form> {
 protected:
  [[nodiscard]] static std::string pack(const std::string& text) { return GetParam().pack(text); }
  [[nodiscard]] static std::string unpacked(std::string_view packed, std::uint64_t limit = kLimit,
                                            std::int64_t lines = 0) {
    return unpack(GetParam().extension, packed, "a", limit, lines);
  }
  [[nodiscard]] static std::string error_of(std::string_view packed, std::uint64_t limit = kLimit) {
    return error_text(ErrorCode::kData, [&] { (void)unpacked(packed, limit); });
  }
};

TEST_P(Unpack, GivesStreamsOneBehindTheOther) {
  std::string large;
  for (int i = 0; i < 60000; ++i) large += std::to_string(i * 7919);
  EXPECT_EQ(unpacked(pack("one\n")), "one\n");
  EXPECT_EQ(unpacked(pack("one\n") + pack(large)), "one\n" + large);
  EXPECT_EQ(unpacked(pack("")), "");
}

TEST_P(Unpack, RefusesWhatGrowsBeyondTheLimit) {
  const std::string bomb = pack(std::string((1 << 20) + 1, '\0'));
  EXPECT_LT(bomb.size(), 2000U);
  EXPECT_EQ(error_of(bomb), "a: unpacks to more than 1.0 MiB, the most that is read of one file");
  EXPECT_EQ(unpacked(bomb, kLimit + 1).size(), kLimit + 1);
}

TEST_P(Unpack, RefusesDamagedAndTruncatedData) {
  const std::string good = pack("a text that is long enough to be cut somewhere");
  EXPECT_THAT(error_of(""), HasSubstr("it ends too soon"));
  EXPECT_THAT(error_of("nothing of that kind"), HasSubstr("a: damaged "));
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_THAT(error_of(good.substr(0, size)), HasSubstr("a: damaged ")) << size;
  }
  EXPECT_THAT(error_of(good + "tail of something else"), HasSubstr("a: damaged "));
}

TEST_P(Unpack, StopsOnceItHasEnoughLines) {
  std::string lines;
  for (int i = 0; i < 300000; ++i) lines += std::to_string(i) + "\n";
  const std::string text = unpacked(pack(lines), kLimit * 4, 10);
  EXPECT_GE(std::count(text.begin(), text.end(), '\n'), 10);
  EXPECT_LT(text.size(), lines.size() / 2);
}

TEST_P(Unpack, IsUsedForNamesThatSaySo) {
  const testing::TemporaryFolder folder;
  const std::filesystem::path file = folder / (std::string("a.txt") + GetParam().extension);
  write_file_atomically(file, pack("one\ntwo\nthree\n"));
  EXPECT_EQ(read_text(file), "one\ntwo\nthree\n");
  EXPECT_EQ(read_text(file, 2), "one\ntwo\n");
}

INSTANTIATE_TEST_SUITE_P(All, Unpack, ::testing::Values(Form{".bz2", bzip2}, Form{".zst", [](std::string text) {
                                                                                    return zstd(text);
                                                                                  }}));

}  // namespace
}  // namespace lowbit
