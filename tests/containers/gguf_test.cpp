#include "lowbit/containers/gguf.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "containers/hostile_files.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using testing::error_text;
using testing::golden;
using testing::raw;
using testing::TemporaryFolder;

// Reads every value and every byte, so that a wrong extent would be seen by a sanitizer.
void open_and_touch(const std::filesystem::path& path) {
  unsigned sum = 0;
  const auto file = GgufFile::open(path);
  for (const std::string& key : file->metadata_keys()) EXPECT_NE(file->metadata(key), nullptr);
  for (const TensorEntry& tensor : file->tensors()) {
    for (const std::byte byte : tensor.data) sum += static_cast<unsigned>(byte);
  }
  EXPECT_LE(sum, 1U << 30);
}

// A file put together by hand, piece by piece.
std::string text(const std::string& bytes) { return raw(std::uint64_t{bytes.size()}) + bytes; }
std::string preamble(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
  return "GGUF" + raw(version) + raw(tensors) + raw(keys);
}
std::string key(const std::string& name, std::uint32_t type, const std::string& value) {
  return text(name) + raw(type) + value;
}
std::string tensor(const std::string& name, const std::vector<std::uint64_t>& ne, std::uint32_t type,
                   std::uint64_t offset) {
  std::string bytes = text(name) + raw(static_cast<std::uint32_t>(ne.size()));
  for (const std::uint64_t dimension : ne) bytes += raw(dimension);
  return bytes + raw(type) + raw(offset);
}
std::string with_data(std::string header, std::size_t bytes) {
  header.append((32 - header.size() % 32) % 32, '\0');
  return header + std::string(bytes, 'x');
}

constexpr std::uint32_t kU32 = 4;
constexpr std::uint32_t kArray = 9;
constexpr std::uint32_t kF32 = 0;

// The message for a file, without its path.
std::string refusal(const std::string& bytes, ErrorCode code = ErrorCode::kData) {
  const TemporaryFolder folder;
  const auto path = folder / "x.gguf";
  testing::write_bytes(path, bytes);
  const std::string message = error_text([&] { open_and_touch(path); }, code);
  const std::string prefix = path.string() + ": ";
  EXPECT_TRUE(message.empty() || message.starts_with(prefix)) << message;
  return message.empty() ? message : message.substr(prefix.size());
}

TEST(GgufFile, ReadsEveryKindOfValueThatThePythonPackageWrites) {
  const auto file = GgufFile::open(golden("containers/values.gguf"));
  EXPECT_EQ(file->string("general.architecture"), "test");
  EXPECT_EQ(file->integer("v.u8"), 200);
  EXPECT_EQ(file->integer("v.i8"), -100);
  EXPECT_EQ(file->integer("v.u16"), 60000);
  EXPECT_EQ(file->integer("v.i16"), -30000);
  EXPECT_EQ(file->integer("v.u32"), 4000000000);
  EXPECT_EQ(file->integer("v.i32"), -2000000000);
  EXPECT_EQ(file->integer("v.u64"), std::int64_t{1} << 62);
  EXPECT_EQ(file->integer("v.i64"), -(std::int64_t{1} << 62));
  EXPECT_EQ(file->real("v.f32"), double{0.1F});
  EXPECT_EQ(file->real("v.f64"), 0.1);
  EXPECT_TRUE(file->boolean("v.true", false));
  EXPECT_FALSE(file->boolean("v.false", true));
  EXPECT_EQ(file->string("v.string"), "gr\u00fc\u00df");
  EXPECT_THAT(file->integers("a.integers"), ElementsAre(1, -2, 3));
  EXPECT_THAT(file->integers("a.bytes"), ElementsAre(1, 2, 255));
  EXPECT_THAT(file->reals("a.reals"), ElementsAre(0.5, -1.25));
  EXPECT_THAT(file->strings("a.strings"), ElementsAre("", "b", "\u4f60\u597d"));
  EXPECT_THAT(std::get<std::vector<bool>>(*file->metadata("a.booleans")), ElementsAre(true, false, true));
}

TEST(GgufFile, GivesTensorsSlowestDimensionFirst) {
  const auto file = GgufFile::open(golden("containers/values.gguf"));
  ASSERT_EQ(file->tensors().size(), 6U);
  EXPECT_EQ(file->tensors()[0].name, "f32");
  EXPECT_EQ(file->find("f32")->shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(file->find("i32")->shape, (std::vector<std::int64_t>{2, 3, 4}));
  EXPECT_EQ(file->find("q8_0")->shape, (std::vector<std::int64_t>{2, 64}));
  EXPECT_EQ(file->find("q8_0")->type, StorageType::kQ8_0);
  EXPECT_EQ(file->find("q8_0")->data.size(), 136U);
  EXPECT_EQ(file->find("q4_k")->type, StorageType::kQ4_K);
  EXPECT_EQ(file->find("iq4_nl")->type, StorageType::kOther);
  EXPECT_EQ(file->find("iq4_nl")->data.size(), 18U);
  EXPECT_EQ(file->find("nothing"), nullptr);
  for (std::int32_t i = 0; i < 24; ++i) {
    std::int32_t value = 0;
    std::memcpy(&value, file->find("i32")->data.data() + 4 * i, 4);
    EXPECT_EQ(value, i);
  }
  for (std::size_t i = 0; i < 144; ++i) {
    EXPECT_EQ(static_cast<unsigned>(file->find("q4_k")->data[i]), (37 * i + 11) % 256);
  }
}

TEST(GgufFile, ListsKeysInTheOrderOfTheFile) {
  const auto keys = GgufFile::open(golden("containers/small.gguf"))->metadata_keys();
  EXPECT_THAT(keys, ElementsAre("general.architecture", "tokens", "scale"));
}

TEST(GgufFile, NamesKeysThatAreMissingOrOfAnotherKind) {
  const auto file = GgufFile::open(golden("containers/values.gguf"));
  EXPECT_THAT(error_text([&] { static_cast<void>(file->string("no")); }),
              EndsWith("values.gguf: key 'no' is missing, expected a string"));
  EXPECT_THAT(error_text([&] { static_cast<void>(file->integer("v.f32")); }),
              EndsWith("key 'v.f32' holds a real number, expected an integer"));
  EXPECT_THAT(error_text([&] { static_cast<void>(file->real("v.u8", 1.0)); }),
              EndsWith("key 'v.u8' holds an integer, expected a real number"));
  EXPECT_THAT(error_text([&] { static_cast<void>(file->strings("a.integers")); }),
              EndsWith("key 'a.integers' holds a list of integers, expected a list of strings"));
  EXPECT_EQ(file->integer("no", 7), 7);
  EXPECT_EQ(file->real("no", 0.5), 0.5);
  EXPECT_TRUE(file->boolean("no", true));
  EXPECT_EQ(file->metadata("no"), nullptr);
}

TEST(GgufFile, RefusesEveryTruncation) {
  testing::expect_every_truncation_refused(golden("containers/small.gguf"), open_and_touch);
}

TEST(GgufFile, SurvivesChangedBytes) {
  testing::expect_byte_changes_survived(golden("containers/small.gguf"), open_and_touch, 3000);
  testing::expect_byte_changes_survived(golden("containers/values.gguf"), open_and_touch, 3000);
}

TEST(GgufFile, ReadsVersionTwo) { EXPECT_EQ(refusal(preamble(0, 1, 2) + key("a", kU32, raw(5U))), ""); }

TEST(GgufFile, RefusesOtherFilesAndVersions) {
  EXPECT_EQ(refusal("PK\x03\x04"), "the file does not start with 'GGUF'; it is no GGUF file");
  EXPECT_EQ(refusal(""), "the file does not start with 'GGUF'; it is no GGUF file");
  EXPECT_EQ(refusal(preamble(0, 0, 1), ErrorCode::kUnsupported),
            "GGUF version 1 is not supported, expected 2 or 3; convert the model anew");
  EXPECT_EQ(refusal(preamble(0, 0, 4), ErrorCode::kUnsupported),
            "GGUF version 4 is not supported, expected 2 or 3; convert the model anew");
  EXPECT_EQ(refusal(preamble(0, 0, 3U << 24), ErrorCode::kUnsupported),
            "the file is big-endian, which is not supported; convert it to little-endian");
}

TEST(GgufFile, RefusesAbsurdCounts) {
  EXPECT_EQ(refusal(preamble(0, std::uint64_t{1} << 63)), "9223372036854775808 metadata keys, expected at most 65536");
  EXPECT_EQ(refusal(preamble(std::uint64_t{1} << 63, 0)), "9223372036854775808 tensors, expected at most 262144");
  EXPECT_EQ(
      refusal(preamble(0, 1) + raw(std::uint64_t{1} << 63) + "abc"),
      "a metadata key at byte 32 takes 9223372036854775808 bytes, but 3 are left; the file is truncated or damaged");
  EXPECT_EQ(refusal(preamble(0, 1) + key("a", kArray, raw(kU32) + raw(std::uint64_t{1} << 62) + "12345678")),
            "key 'a': 4611686018427387904 values at byte 49 do not fit into the 8 bytes left; the file is truncated or "
            "damaged");
  EXPECT_EQ(refusal(preamble(0, 1) + key("a", kArray, raw(8U) + raw(std::uint64_t{2}) + text("1234"))),
            "key 'a': 2 values at byte 49 do not fit into the 12 bytes left; the file is truncated or damaged");
}

TEST(GgufFile, RefusesBadValues) {
  EXPECT_EQ(refusal(preamble(0, 1) + key("a", 13, "")), "key 'a': unknown value type 13 at byte 33, expected 0 to 12");
  EXPECT_EQ(refusal(preamble(0, 1) + key("a", kArray, raw(kArray) + raw(std::uint64_t{1}) + raw(kU32))),
            "key 'a': arrays within arrays are not supported");
  EXPECT_EQ(refusal(preamble(0, 1) + key("a", 7, "\x02")), "key 'a': boolean 2 at byte 37, expected 0 or 1");
  EXPECT_EQ(refusal(preamble(0, 1) + key("a", 10, raw(std::uint64_t{1} << 63))),
            "key 'a': integer 9223372036854775808 at byte 37 is above 2^63 - 1");
  EXPECT_EQ(refusal(preamble(0, 1) + key("a", kArray, raw(7U) + raw(std::uint64_t{2}) + std::string("\x01\x03"))),
            "key 'a': boolean 3 at byte 50, expected 0 or 1");
}

TEST(GgufFile, RefusesBadNames) {
  const std::string five = raw(5U);
  EXPECT_EQ(refusal(preamble(0, 2) + key("a", kU32, five) + key("a", kU32, five)), "duplicate key 'a'");
  EXPECT_EQ(refusal(preamble(0, 1) + key("\xFF", kU32, five)), "a metadata key at byte 24 is not valid UTF-8");
  EXPECT_EQ(refusal(preamble(0, 1) + key("", kU32, five)), "a metadata key at byte 24 has 0 bytes, expected 1 to 1024");
  EXPECT_EQ(refusal(preamble(0, 1) + key(std::string(1025, 'a'), kU32, five)),
            "a metadata key at byte 24 has 1025 bytes, expected 1 to 1024");
  EXPECT_EQ(refusal(preamble(1, 0) + tensor("\xFF", {1}, kF32, 0)), "a tensor's name at byte 24 is not valid UTF-8");
  EXPECT_EQ(refusal(with_data(preamble(2, 0) + tensor("t", {1}, kF32, 0) + tensor("t", {1}, kF32, 32), 64)),
            "duplicate tensor 't'");
}

TEST(GgufFile, AcceptsTokensThatAreNoText) { EXPECT_EQ(refusal(preamble(0, 1) + key("a", 8, text("\xFF\xFE"))), ""); }

TEST(GgufFile, RefusesBadTensors) {
  const auto single = [](const std::vector<std::uint64_t>& ne, std::uint32_t type, std::uint64_t offset) {
    return refusal(with_data(preamble(1, 0) + tensor("t", ne, type, offset), 64));
  };
  EXPECT_EQ(single({4}, kF32, 0), "");
  EXPECT_EQ(single({}, kF32, 0), "");
  EXPECT_EQ(single({0, 3}, kF32, 64), "");
  EXPECT_EQ(single({1, 1, 1, 1, 1}, kF32, 0), "tensor 't': 5 dimensions, expected at most 4");
  EXPECT_EQ(single({4}, 4, 0), "tensor 't': unknown type 4 (the file is damaged or newer than this program)");
  EXPECT_EQ(single({1, std::uint64_t{1} << 63}, kF32, 0), "tensor 't': the shape [-9223372036854775808, 1] overflows");
  EXPECT_EQ(single({std::uint64_t{1} << 32, std::uint64_t{1} << 32}, kF32, 0),
            "tensor 't': the shape [4294967296, 4294967296] overflows");
  EXPECT_EQ(single({std::uint64_t{1} << 61}, kF32, 0), "tensor 't': the shape [2305843009213693952] overflows");
  EXPECT_EQ(single({16, 2}, 2, 0), "tensor 't': rows of 16 are no whole number of blocks of 32");
  EXPECT_EQ(single({4}, kF32, 16), "tensor 't': offset 16 is no multiple of the alignment 32");
  EXPECT_EQ(single({4}, kF32, 64),
            "tensor 't': 16 bytes at offset 64 do not fit into the 64 bytes of data; the file is truncated");
  EXPECT_EQ(single({4}, kF32, 0xFFFFFFFFFFFFFFE0),
            "tensor 't': 16 bytes at offset 18446744073709551584 do not fit into the 64 bytes of data; the file is "
            "truncated");
}

TEST(GgufFile, RefusesOverlappingTensors) {
  const std::string header = preamble(2, 0) + tensor("late", {4}, kF32, 32) + tensor("early", {9}, kF32, 0);
  EXPECT_EQ(refusal(with_data(header, 64)), "tensors 'early' and 'late' overlap");
}

TEST(GgufFile, ObeysTheAlignment) {
  const auto aligned = [](std::uint32_t alignment, std::uint64_t offset) {
    return refusal(with_data(
        preamble(1, 1) + key("general.alignment", kU32, raw(alignment)) + tensor("t", {1}, kF32, offset), 64));
  };
  EXPECT_EQ(aligned(8, 8), "");
  EXPECT_EQ(aligned(8, 4), "tensor 't': offset 4 is no multiple of the alignment 8");
  EXPECT_EQ(aligned(0, 0), "key 'general.alignment' is 0, expected a power of two");
  EXPECT_EQ(aligned(24, 0), "key 'general.alignment' is 24, expected a power of two");
  EXPECT_EQ(aligned(1U << 31, 0),
            "the padding before the data at byte 90 takes 2147483558 bytes, but 70 are left; the file is truncated or "
            "damaged");
  EXPECT_EQ(refusal(with_data(preamble(1, 1) + key("general.alignment", 8, text("x")) + tensor("t", {1}, kF32, 0), 64)),
            "key 'general.alignment' is no integer, expected a power of two");
}

}  // namespace
}  // namespace lowbit
