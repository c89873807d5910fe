#include "lowbit/containers/gguf_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "containers/hostile_files.h"

namespace lowbit {
namespace {

using testing::error_text;
using testing::golden;
using testing::TemporaryFolder;

std::string construction_error(std::vector<GgufItem> metadata, std::vector<TensorDeclaration> tensors) {
  const TemporaryFolder folder;
  return error_text([&] { GgufWriter(folder / "x", std::move(metadata), std::move(tensors)); }, ErrorCode::kInternal);
}

TEST(GgufWriter, WritesTheBytesOfThePythonPackage) {
  const TemporaryFolder folder;
  const auto original = GgufFile::open(golden("containers/small.gguf"));
  GgufWriter writer(folder / "x",
                    {{"general.architecture", GgufType::kString, "test"},
                     {"tokens", GgufType::kString, std::vector<std::string>{"a", "bc"}},
                     {"scale", GgufType::kF32, 1.5}},
                    {{"f16", StorageType::kF16, {4}}, {"f32", StorageType::kF32, {2, 4}}});
  for (const TensorEntry& tensor : original->tensors()) writer.write(tensor.data.data(), tensor.data.size());
  writer.finish();
  EXPECT_EQ(testing::read_bytes(folder / "x"), testing::read_bytes(golden("containers/small.gguf")));
}

TEST(GgufWriter, KeepsEveryValueTypeAtItsLimits) {
  using Limits = std::numeric_limits<std::int64_t>;
  const std::vector<GgufItem> items = {
      {"u8", GgufType::kU8, 255},
      {"i8", GgufType::kI8, -128},
      {"u16", GgufType::kU16, 65535},
      {"i16", GgufType::kI16, -32768},
      {"u32", GgufType::kU32, std::int64_t{4294967295}},
      {"i32", GgufType::kI32, std::int64_t{-2147483648}},
      {"u64", GgufType::kU64, Limits::max()},
      {"i64", GgufType::kI64, Limits::min()},
      {"f32", GgufType::kF32, double{0.1F}},
      {"f64", GgufType::kF64, 0.1},
      {"bool", GgufType::kBool, true},
      {"string", GgufType::kString, std::string("a\0b\xFF", 4)},
      {"bools", GgufType::kBool, std::vector<bool>{true, false}},
      {"bytes", GgufType::kU8, std::vector<std::int64_t>{0, 255}},
      {"halves", GgufType::kF32, std::vector<double>{0.5, -2}},
      {"none", GgufType::kString, std::vector<std::string>{}},
  };
  const TemporaryFolder folder;
  GgufWriter(folder / "x", items, {}).finish();
  const auto file = GgufFile::open(folder / "x");
  for (const GgufItem& item : items) {
    ASSERT_NE(file->metadata(item.key), nullptr);
    EXPECT_EQ(*file->metadata(item.key), item.value) << item.key;
  }
}

TEST(GgufWriter, AlignsTensorsAsStated) {
  const TemporaryFolder folder;
  GgufWriter writer(
      folder / "x", {{"general.alignment", GgufType::kU32, 128}},
      {{"a", StorageType::kI8, {3}}, {"none", StorageType::kF32, {0}}, {"b", StorageType::kQ8_0, {2, 32}}});
  const std::string bytes(68, 'q');
  writer.write("abc", 3);
  writer.write(bytes.data(), 50);
  writer.write(bytes.data(), 18);
  writer.finish();
  EXPECT_EQ(std::filesystem::file_size(folder / "x") % 128, 0U);
  const auto file = GgufFile::open(folder / "x");
  EXPECT_EQ(file->find("b")->data.data() - file->find("a")->data.data(), 128);
  EXPECT_EQ(file->find("b")->shape, (std::vector<std::int64_t>{2, 32}));
  EXPECT_EQ(static_cast<char>(file->find("b")->data[67]), 'q');
}

TEST(GgufWriter, RefusesToFinishWithMissingBytes) {
  const TemporaryFolder folder;
  GgufWriter writer(folder / "x", {}, {{"a", StorageType::kF32, {2}}});
  writer.write("1234", 4);
  EXPECT_EQ(error_text([&] { writer.finish(); }, ErrorCode::kInternal), "4 bytes of tensor data were not written");
}

TEST(GgufWriter, RefusesWhatTheFormatCannotHold) {
  EXPECT_EQ(construction_error({{"a", GgufType::kU8, 256}}, {}), "key 'a': 256 does not fit its GGUF type");
  EXPECT_EQ(construction_error({{"a", GgufType::kU64, -1}}, {}), "key 'a': -1 does not fit its GGUF type");
  EXPECT_EQ(construction_error({{"a", GgufType::kF32, 5}}, {}), "key 'a': the value is not of the GGUF type given");
  EXPECT_EQ(construction_error({{"a", GgufType::kU32, "x"}}, {}), "key 'a': the value is not of the GGUF type given");
  EXPECT_EQ(construction_error({{"a", GgufType::kU8, 1}, {"a", GgufType::kU8, 1}}, {}), "'a' is declared twice");
  EXPECT_EQ(construction_error({{"general.alignment", GgufType::kU32, 24}}, {}),
            "'general.alignment' must be a power of two");
  EXPECT_EQ(construction_error({}, {{"t", StorageType::kF8E4M3, {1}}}), "tensor 't': GGUF has no type F8_E4M3");
  EXPECT_EQ(construction_error({}, {{"t", StorageType::kQ4_0, {32, 16}}}),
            "tensor 't': a shape of [32, 16] cannot be written as Q4_0");
  EXPECT_EQ(construction_error({}, {{"t", StorageType::kF32, {1, 1, 1, 1, 1}}}),
            "tensor 't': a shape of [1, 1, 1, 1, 1] cannot be written as F32");
  EXPECT_EQ(construction_error({}, {{"t", StorageType::kF32, {1}}, {"t", StorageType::kF32, {1}}}),
            "'t' is declared twice");
}

}  // namespace
}  // namespace lowbit
