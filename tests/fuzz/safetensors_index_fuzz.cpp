// The index of a model in shards: names of files, which must stay in their folder and agree with what these hold.
#include "fuzz/fuzz.h"
#include "fuzz/touch.h"
#include "lowbit/base/files.h"
#include "lowbit/containers/safetensors.h"
#include "support/test_data.h"

namespace lowbit::fuzzing {
namespace {

std::string shard(const std::string& tensor) {
  const std::string header = fmt::format(R"({{"{}":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}}})", tensor);
  return std::string(1, static_cast<char>(header.size())) + std::string(7, '\0') + header + "data";
}

// Two shards that hold tensors "a" and "b", and a third that is damaged; only the index changes.
const std::filesystem::path& folder() {
  static const testing::TemporaryFolder made;
  static const bool filled = [] {
    write_file_atomically(made / "one.safetensors", shard("a"));
    write_file_atomically(made / "two.safetensors", shard("b"));
    write_file_atomically(made / "cut.safetensors", shard("c").substr(0, 20));
    return true;
  }();
  (void)filled;
  return made.path();
}

void read(std::string_view input) {
  const InputFile index(input);
  const std::filesystem::path link = folder() / "model.safetensors.index.json";
  std::filesystem::remove(link);
  std::filesystem::create_symlink(index.path(), link);
  for (const auto& file : open_safetensors_folder(folder())) {
    for (const TensorEntry& tensor : file->tensors()) touch(tensor);
  }
}

std::vector<std::string> seeds() {
  return {R"({"metadata":{"total_size":8},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})",
          R"({"weight_map":{"a":"one.safetensors"}})", R"({"weight_map":{"c":"cut.safetensors"}})",
          golden("model/gqa-tied-sharded/model.safetensors.index.json")};
}

}  // namespace

const Target& target() {
  static const Target result = {
      .read = read,
      .seeds = seeds,
      .words = {"\"weight_map\":{", "\"a\":", "\"one.safetensors\"", "\"../one.safetensors\"", "\"/etc/passwd\"",
                "\"..\"", "\"one.safetensors\\u0000\"", "\"two.safetensors\",", "\"cut.safetensors\""},
      .memory = std::size_t{2} << 20};
  return result;
}

}  // namespace lowbit::fuzzing
