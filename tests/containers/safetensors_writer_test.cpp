#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "containers/hostile_files.h"
#include "lowbit/containers/safetensors.h"

namespace lowbit {
namespace {

using ::testing::EndsWith;
using testing::error_text;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

std::string declaration_error(std::vector<TensorDeclaration> tensors) {
  const TemporaryFolder folder;
  return error_text([&] { SafetensorsWriter(folder / "x", std::move(tensors)); }, ErrorCode::kInternal);
}

TEST(SafetensorsWriter, WritesWhatTheReaderReads) {
  const TemporaryFolder folder;
  const auto path = folder / "x.safetensors";
  {
    SafetensorsWriter writer(path,
                             {{"bytes", StorageType::kU8, {3}},
                              {"scalar", StorageType::kF64, {}},
                              {"quo\"ted\n", StorageType::kF32, {2, 2}},
                              {"empty", StorageType::kF32, {0, 7}},
                              {"nibbles", StorageType::kF4, {4}}},
                             {{"format", "pt"}, {"k\\ey", "v\"alue"}});
    // By width, then by name: scalar, empty, quoted, bytes, nibbles.
    EXPECT_EQ(writer.order(), (std::vector<std::size_t>{1, 3, 2, 0, 4}));
    const double scalar = -0.5;
    const std::array<float, 4> floats = {1, 2, 3, 4};
    writer.write(&scalar, sizeof scalar);
    writer.write(nullptr, 0);
    writer.write(floats.data(), 4);  // in two pieces
    writer.write(floats.data() + 1, 12);
    writer.write("abc", 3);
    writer.write("\x12\x34", 2);
    EXPECT_FALSE(std::filesystem::exists(path));
    writer.finish();
  }
  const auto file = SafetensorsFile::open(path);
  EXPECT_EQ(file->tensors().size(), 5U);
  EXPECT_EQ(file->find("quo\"ted\n")->shape, (std::vector<std::int64_t>{2, 2}));
  float second = 0;
  std::memcpy(&second, file->find("quo\"ted\n")->data.data() + 4, 4);
  EXPECT_EQ(second, 2.0F);
  EXPECT_EQ(static_cast<char>(file->find("bytes")->data[2]), 'c');
  EXPECT_EQ(file->metadata().at("k\\ey"), "v\"alue");
  for (const TensorEntry& tensor : file->tensors()) {
    const auto address = reinterpret_cast<std::uintptr_t>(tensor.data.data());
    EXPECT_EQ(address % static_cast<std::size_t>(block_size(tensor.type).bytes), 0U) << tensor.name;
  }
}

TEST(SafetensorsWriter, WritesFilesWithoutTensors) {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "x", {}, {});
  writer.finish();
  EXPECT_TRUE(SafetensorsFile::open(folder / "x")->tensors().empty());
}

TEST(SafetensorsWriter, RefusesToFinishWithMissingBytes) {
  const TemporaryFolder folder;
  {
    SafetensorsWriter writer(folder / "x", {{"a", StorageType::kF32, {2}}, {"b", StorageType::kF32, {2}}});
    writer.write("12345678", 8);
    EXPECT_EQ(error_text([&] { writer.finish(); }, ErrorCode::kInternal), "8 bytes of tensor data were not written");
    writer.write("1234", 4);
    EXPECT_EQ(error_text([&] { writer.finish(); }, ErrorCode::kInternal), "4 bytes of tensor data were not written");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SafetensorsWriter, RefusesBytesThatReachIntoTheNextTensor) {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder / "x", {{"a", StorageType::kF32, {1}}, {"b", StorageType::kF32, {1}}});
  EXPECT_EQ(error_text([&] { writer.write("12345678", 8); }, ErrorCode::kInternal),
            "tensor 0 of 2 was given 8 bytes, expected at most 4");
  writer.write("1234", 4);
  writer.write("1234", 4);
  EXPECT_EQ(error_text([&] { writer.write("1", 1); }, ErrorCode::kInternal),
            "tensor 2 of 2 was given 1 bytes, expected at most 0");
}

TEST(SafetensorsWriter, RefusesBadDeclarations) {
  EXPECT_EQ(declaration_error({{"a", StorageType::kU8, {1}}, {"a", StorageType::kU8, {1}}}),
            "tensor 'a' is declared twice or has a reserved name");
  EXPECT_EQ(declaration_error({{"__metadata__", StorageType::kU8, {1}}}),
            "tensor '__metadata__' is declared twice or has a reserved name");
  EXPECT_EQ(declaration_error({{"a", StorageType::kQ4_0, {32}}}), "tensor 'a': safetensors has no type Q4_0");
  EXPECT_EQ(declaration_error({{"a", StorageType::kF4, {3}}}), "tensor 'a': its shape overflows or takes half a byte");
  EXPECT_EQ(declaration_error({{"a", StorageType::kF32, {-1}}}),
            "tensor 'a': its shape overflows or takes half a byte");
  EXPECT_THAT(declaration_error({{"\xFF", StorageType::kU8, {1}}}), HasSubstr("is not valid UTF-8"));
}

class SafetensorsFolder : public ::testing::Test {
 protected:
  void write_shard(const std::string& file, const std::vector<std::string>& names) {
    std::vector<TensorDeclaration> tensors;
    for (const std::string& name : names) tensors.push_back({name, StorageType::kU8, {1}});
    SafetensorsWriter writer(folder_ / file, tensors);
    for (std::size_t i = 0; i < names.size(); ++i) writer.write("x", 1);
    writer.finish();
  }
  void write_index(const std::string& weight_map) {
    testing::write_bytes(index_, R"({"metadata":{"total_size":2},"weight_map":)" + weight_map + "}");
  }
  std::string error() {
    const std::string text = error_text([&] { static_cast<void>(open_safetensors_folder(folder_.path())); });
    const std::string prefix = index_.string() + ": ";
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
  }
  TemporaryFolder folder_;
  std::filesystem::path index_ = folder_ / "model.safetensors.index.json";
};

TEST_F(SafetensorsFolder, FindsTheSingleFile) {
  write_shard("model.safetensors", {"a"});
  EXPECT_EQ(find_safetensors_files(folder_.path()), (std::vector{folder_ / "model.safetensors"}));
  EXPECT_EQ(open_safetensors_folder(folder_.path()).size(), 1U);
}

// The same model as its first author published it: seven int32, then the embedding as float32.
TEST_F(SafetensorsFolder, HoldsTheWeightsOfARealModel) {
  const auto folder = testing::shared_data("models/stories260K");
  if (!folder) GTEST_SKIP() << "no models/stories260K in the test data";
  const auto files = open_safetensors_folder(*folder);
  ASSERT_EQ(files.size(), 1U);
  const TensorEntry* embedding = files[0]->find("model.embed_tokens.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->shape, (std::vector<std::int64_t>{512, 64}));
  const std::string original = testing::read_bytes(*folder / "stories260K.bin");
  ASSERT_GE(original.size(), 28 + embedding->data.size());
  EXPECT_EQ(std::memcmp(embedding->data.data(), original.data() + 28, embedding->data.size()), 0);
}

TEST_F(SafetensorsFolder, FindsShardsInOrder) {
  write_shard("model-00001-of-00002.safetensors", {"a"});
  write_shard("model-00002-of-00002.safetensors", {"b", "c"});
  write_index(R"({"c":"model-00002-of-00002.safetensors","a":"model-00001-of-00002.safetensors",)"
              R"("b":"model-00002-of-00002.safetensors"})");
  EXPECT_EQ(find_safetensors_files(folder_.path()),
            (std::vector{folder_ / "model-00001-of-00002.safetensors", folder_ / "model-00002-of-00002.safetensors"}));
  const auto files = open_safetensors_folder(folder_.path());
  ASSERT_EQ(files.size(), 2U);
  EXPECT_NE(files[1]->find("c"), nullptr);
}

TEST_F(SafetensorsFolder, RefusesFileNamesThatLeaveTheFolder) {
  for (const char* name : {"../x", "..", "a..b", "", ".", "/etc/passwd", "sub/x", "sub\\\\x", "x\\u0000y"}) {
    write_index(fmt::format(R"({{"a":"{}"}})", name));
    EXPECT_THAT(error(), EndsWith("is no plain file name; a shard must lie in the folder of its index")) << name;
  }
}

TEST_F(SafetensorsFolder, RefusesBadIndexes) {
  write_index(R"({"a":"s.safetensors"})");
  EXPECT_EQ(error(), "the shard 's.safetensors' is missing; fetch the model again");
  write_index("{}");
  EXPECT_EQ(error(), "'weight_map' is empty");
  write_index(R"({"a":5})");
  EXPECT_EQ(error(), "'weight_map' must map tensor names to file names");
  write_index("[]");
  EXPECT_EQ(error(), "'weight_map' must map tensor names to file names");
  write_index(R"({"a":{"b":"c"}})");
  EXPECT_EQ(error(), "'weight_map' must map tensor names to file names");
  write_index(R"({"a":"b","a":"b"})");
  EXPECT_EQ(error(), "duplicate tensor 'a'");
  write_index(R"({"a":"b"},"weight_map":{})");
  EXPECT_EQ(error(), "duplicate key 'weight_map'");
  testing::write_bytes(index_, "[1]");
  EXPECT_EQ(error(), "expected an object with the member 'weight_map'");
  testing::write_bytes(index_, "{\"a\":[{\"weight_map\":{}}]}");
  EXPECT_EQ(error(), "'weight_map' is missing");
  testing::write_bytes(index_, "{");
  EXPECT_EQ(error(), "not valid JSON at byte 2");
  testing::write_bytes(index_, "{\"\xC0\":1}");
  EXPECT_EQ(error(), "invalid UTF-8 at byte 2");
  testing::write_bytes(index_, "{\"x\":" + std::string(100, '[') + std::string(100, ']') + "}");
  EXPECT_EQ(error(), "more than 64 nested levels");
}

TEST_F(SafetensorsFolder, RefusesShardsThatDisagreeWithTheIndex) {
  write_shard("s1", {"a", "b"});
  write_shard("s2", {"c"});
  write_index(R"({"a":"s1","c":"s2"})");
  EXPECT_EQ(error(), "tensor 'b' is in 's1', but the index says nothing of it");
  write_index(R"({"a":"s1","b":"s2","c":"s2"})");
  EXPECT_EQ(error(), "tensor 'b' is in 's1', but the index says 's2'");
  write_index(R"({"a":"s1","b":"s1","c":"s2","d":"s2"})");
  EXPECT_EQ(error(), "tensor 'd' is not in 's2', where the index says it is");
  write_shard("s2", {"b", "c"});
  write_index(R"({"a":"s1","b":"s1","c":"s2"})");
  EXPECT_THAT(error(), ::testing::MatchesRegex("tensor 'b' is in both '.*/s1' and '.*/s2'"));
}

TEST_F(SafetensorsFolder, NamesWhatIsMissing) {
  EXPECT_THAT(error(), EndsWith("holds neither model.safetensors nor model.safetensors.index.json"));
  EXPECT_THAT(error_text([&] { static_cast<void>(find_safetensors_files(folder_ / "no")); }),
              EndsWith("no' is not a folder"));
  testing::write_bytes(folder_ / "pytorch_model-00001-of-00002.bin", "x");
  EXPECT_THAT(
      error_text([&] { static_cast<void>(find_safetensors_files(folder_.path())); }, ErrorCode::kUnsupported),
      EndsWith("has its weights in pytorch_model*.bin only, which are pickles that can run code; convert them in "
               "Python: AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, "
               "safe_serialization=True)"));
}

}  // namespace
}  // namespace lowbit
