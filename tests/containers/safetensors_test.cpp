#include "lowbit/containers/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include <fmt/format.h>

#include "containers/hostile_files.h"

namespace lowbit {
namespace {

using ::testing::EndsWith;
using testing::error_text;
using testing::golden;
using ::testing::HasSubstr;
using testing::raw;
using testing::TemporaryFolder;

// Reads every byte, so that a wrong extent would be seen by a sanitizer.
void open_and_touch(const std::filesystem::path& path) {
  unsigned sum = 0;
  const auto file = SafetensorsFile::open(path);
  for (const TensorEntry& tensor : file->tensors()) {
    for (const std::byte byte : tensor.data) sum += static_cast<unsigned>(byte);
  }
  EXPECT_LE(sum, 1U << 30);
}

// The message for a file with this header and so many zero bytes behind it, without the path.
std::string refusal(const std::string& header, std::size_t data_bytes = 0) {
  const TemporaryFolder folder;
  const auto path = folder / "x.safetensors";
  testing::write_bytes(path, raw(std::uint64_t{header.size()}) + header + std::string(data_bytes, '\0'));
  const std::string text = error_text([&] { open_and_touch(path); });
  const std::string prefix = path.string() + ": ";
  EXPECT_TRUE(text.empty() || text.starts_with(prefix)) << text;
  return text.empty() ? text : text.substr(prefix.size());
}

template <typename T>
std::vector<T> values(const SafetensorsFile& file, std::string_view name) {
  const TensorEntry* entry = file.find(name);
  EXPECT_NE(entry, nullptr) << name;
  if (entry == nullptr) return {};
  std::vector<T> result(entry->data.size() / sizeof(T));
  std::memcpy(result.data(), entry->data.data(), entry->data.size());
  return result;
}

TEST(SafetensorsFile, ReadsEveryTypeThatThePythonPackageWrites) {
  const auto file = SafetensorsFile::open(golden("containers/types.safetensors"));
  using ::testing::ElementsAre;
  EXPECT_THAT(values<std::uint8_t>(*file, "U8"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(values<std::int8_t>(*file, "I8"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(values<std::uint16_t>(*file, "U16"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(values<std::int16_t>(*file, "I16"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(values<std::uint32_t>(*file, "U32"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(values<std::int32_t>(*file, "I32"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(values<std::uint64_t>(*file, "U64"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(values<std::int64_t>(*file, "I64"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(values<float>(*file, "F32"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(values<double>(*file, "F64"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(values<std::uint16_t>(*file, "F16"), ElementsAre(0, 0x3C00, 0x4000, 0x4200, 0x4400, 0x4500));
  EXPECT_THAT(values<std::uint16_t>(*file, "BF16"), ElementsAre(0, 0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0));
  EXPECT_THAT(values<std::uint8_t>(*file, "F8_E4M3"), ElementsAre(0, 0x38, 0x40, 0x44, 0x48, 0x4A));
  EXPECT_THAT(values<std::uint8_t>(*file, "F8_E5M2"), ElementsAre(0, 0x3C, 0x40, 0x42, 0x44, 0x45));
  EXPECT_THAT(values<std::uint8_t>(*file, "F8_E8M0"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(values<std::uint8_t>(*file, "BOOL"), ElementsAre(0, 1, 0, 1, 0, 1));
  EXPECT_THAT(values<float>(*file, "scalar"), ElementsAre(2.5F));
  for (const TensorEntry& tensor : file->tensors()) {
    if (tensor.name == "scalar" || tensor.name == "empty") continue;
    EXPECT_EQ(storage_type_name(tensor.type), tensor.name);
  }
}

TEST(SafetensorsFile, GivesShapesAndMetadata) {
  const auto file = SafetensorsFile::open(golden("containers/types.safetensors"));
  EXPECT_EQ(file->find("F32")->shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(file->find("F4")->shape, (std::vector<std::int64_t>{2, 6}));  // two elements a byte
  EXPECT_TRUE(file->find("scalar")->shape.empty());
  EXPECT_EQ(file->find("scalar")->elements(), 1);
  EXPECT_EQ(file->find("empty")->shape, (std::vector<std::int64_t>{4, 0, 3}));
  EXPECT_EQ(file->find("empty")->elements(), 0);
  EXPECT_EQ(file->find("nothing"), nullptr);
  EXPECT_EQ(file->metadata().at("note"), "gr\u00fc\u00df");
}

TEST(SafetensorsFile, ListsTensorsInTheOrderOfTheirData) {
  const auto file = SafetensorsFile::open(golden("containers/types.safetensors"));
  const std::byte* last = nullptr;
  for (const TensorEntry& tensor : file->tensors()) {
    EXPECT_GE(tensor.data.data(), last);
    last = tensor.data.data();
  }
}

TEST(SafetensorsFile, AcceptsHeaderPaddedWithSpaces) { EXPECT_EQ(refusal("{}      "), ""); }

TEST(SafetensorsFile, RefusesEveryTruncation) {
  testing::expect_every_truncation_refused(golden("containers/small.safetensors"), open_and_touch);
  testing::expect_every_truncation_refused(golden("containers/types.safetensors"), open_and_touch);
}

TEST(SafetensorsFile, SurvivesChangedBytes) {
  testing::expect_byte_changes_survived(golden("containers/small.safetensors"), open_and_touch, 3000);
}

TEST(SafetensorsFile, RefusesHeaderLengthOutsideTheFile) {
  const TemporaryFolder folder;
  testing::write_bytes(folder / "x", raw(std::uint64_t{1} << 63) + "{}");
  EXPECT_THAT(
      error_text([&] { open_and_touch(folder / "x"); }),
      EndsWith("x: the header's length is 9223372036854775808, expected at most 100000000; this is no safetensors "
               "file"));
  testing::write_bytes(folder / "x", raw(std::uint64_t{3}) + "{}");
  EXPECT_THAT(error_text([&] { open_and_touch(folder / "x"); }),
              EndsWith("x: the header's length is 3, but 2 bytes follow; the file is truncated"));
  testing::write_bytes(folder / "x", "abc");
  EXPECT_THAT(error_text([&] { open_and_touch(folder / "x"); }),
              EndsWith("x: the file has 3 bytes, too few for a safetensors file"));
}

TEST(SafetensorsFile, RefusesBadText) {
  EXPECT_EQ(refusal(" {}"), "the header does not start with '{'");
  EXPECT_EQ(refusal(""), "the header does not start with '{'");
  EXPECT_EQ(refusal("{\"\xFF\":1}"), "the header has invalid UTF-8 at byte 2");
  EXPECT_EQ(refusal("{\"a\""), "the header is not valid JSON at byte 5");
  EXPECT_EQ(refusal("{} x"), "the header is not valid JSON at byte 4");
}

TEST(SafetensorsFile, RefusesOtherStructure) {
  EXPECT_EQ(refusal(R"({"a":5})"), "tensor 'a' is a number, expected an object");
  EXPECT_EQ(refusal(R"({"a":[]})"), "tensor 'a' is an array, expected an object");
  EXPECT_EQ(refusal(R"({"__metadata__":"x"})"), "__metadata__ is a string, expected an object");
  EXPECT_EQ(refusal(R"({"__metadata__":{"x":1}})"), "__metadata__: 'x' has a number, expected a string");
  EXPECT_EQ(refusal(R"({"__metadata__":{"x":"1","x":"2"}})"), "duplicate key 'x'");
  EXPECT_EQ(refusal(R"({"a":{"dtype":4}})"), "tensor 'a': 'dtype' has a number, expected a string");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":[]}})"), "tensor 'a': 'data_offsets' is missing");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":4}})"), "tensor 'a': 'shape' has a number, expected an array");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":[[1]]}})"),
            "tensor 'a': 'shape' has an array, expected non-negative integers");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":[-1]}})"),
            "tensor 'a': 'shape' has a negative number, expected non-negative integers");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":[1.5]}})"),
            "tensor 'a': 'shape' has a fraction or too large a number, expected non-negative integers");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 4),
            "tensor 'a': 'data_offsets' holds 3 numbers, expected 2");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":[1],"strides":[1]}})"),
            "tensor 'a': unknown key 'strides', expected dtype, shape or data_offsets");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","dtype":"F32"}})"), "tensor 'a': duplicate key 'dtype'");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F33"}})"),
            "tensor 'a': unknown dtype 'F33' (the file is damaged or newer than this program)");
}

TEST(SafetensorsFile, RefusesDuplicateNames) {
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                    R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                    2),
            "duplicate key 'a'");
}

TEST(SafetensorsFile, RefusesExtentsThatDoNotTileTheData) {
  const auto pair = [](const char* second) {
    return fmt::format(R"({{"a":{{"dtype":"U8","shape":[2],"data_offsets":[0,2]}},"b":{}}})", second);
  };
  EXPECT_EQ(refusal(pair(R"({"dtype":"U8","shape":[2],"data_offsets":[1,3]})"), 3),
            "tensor 'b': data begins at 1, expected 2: it overlaps the tensor before");
  EXPECT_EQ(refusal(pair(R"({"dtype":"U8","shape":[2],"data_offsets":[3,5]})"), 5),
            "tensor 'b': data begins at 3, expected 2: there is a hole before it");
  EXPECT_EQ(refusal(pair(R"({"dtype":"U8","shape":[2],"data_offsets":[2,4]})"), 5),
            "1 bytes after the last tensor belong to none");
  EXPECT_EQ(refusal(pair(R"({"dtype":"U8","shape":[2],"data_offsets":[2,4]})"), 3),
            "tensor 'b': data ends at 4, but the file holds 3 bytes of data; it is truncated");
  EXPECT_EQ(refusal(pair(R"({"dtype":"U8","shape":[2],"data_offsets":[2,5]})"), 5),
            "tensor 'b': data_offsets [2, 5] do not fit the shape, which takes 2 bytes");
  EXPECT_EQ(refusal(pair(R"({"dtype":"U8","shape":[2],"data_offsets":[4,2]})"), 5),
            "tensor 'b': data_offsets [4, 2] do not fit the shape, which takes 2 bytes");
}

TEST(SafetensorsFile, RefusesShapesThatOverflow) {
  const auto shaped = [](const char* type, const char* shape) {
    return fmt::format(R"({{"a":{{"dtype":"{}","shape":{},"data_offsets":[0,0]}}}})", type, shape);
  };
  EXPECT_EQ(refusal(shaped("U8", "[4294967296,4294967296]")), "tensor 'a': the shape overflows");
  EXPECT_EQ(refusal(shaped("U8", "[0,4294967296,4294967296]")), "tensor 'a': the shape overflows");
  EXPECT_EQ(refusal(shaped("F64", "[1152921504606846976]")), "tensor 'a': the shape overflows");
  EXPECT_EQ(refusal(shaped("U8", "[9223372036854775808]")),
            "tensor 'a': dimension 9223372036854775808 is above 2^63 - 1");
  EXPECT_THAT(refusal(shaped("U8", "[18446744073709551616]")), HasSubstr("too large a number"));
  EXPECT_EQ(refusal(shaped("F4", "[3]")), "tensor 'a': 12 bits are no whole number of bytes");
  std::string ones = "[1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  EXPECT_EQ(refusal(shaped("U8", (ones + "]").c_str())), "tensor 'a': more than 64 dimensions");
}

TEST(SafetensorsFile, ListsTypesThatItCannotName) {
  const TemporaryFolder folder;
  const std::string header = R"({"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}})";
  testing::write_bytes(folder / "x", raw(std::uint64_t{header.size()}) + header + "abc");
  const auto file = SafetensorsFile::open(folder / "x");
  EXPECT_EQ(file->find("a")->type, StorageType::kOther);
  EXPECT_EQ(file->find("a")->data.size(), 3U);
}

}  // namespace
}  // namespace lowbit
