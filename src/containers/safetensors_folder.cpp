#include <algorithm>
#include <set>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/base/utf8.h"
#include "lowbit/containers/safetensors.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr std::uint64_t kMaxIndexBytes = 100'000'000;

using WeightMap = std::unordered_map<std::string, std::string>;

// Picks the strings of the member "weight_map" out of the parser's events: a tree whose objects are searched linearly
// takes seconds for the index of a large mixture of experts.
class IndexReader : public nlohmann::json_sax<Json> {
 public:
  WeightMap map;
  bool found = false;

  bool null() override { return other(); }
  bool boolean(bool) override { return other(); }
  bool number_integer(number_integer_t) override { return other(); }
  bool number_unsigned(number_unsigned_t) override { return other(); }
  bool number_float(number_float_t, const string_t&) override { return other(); }
  bool binary(binary_t&) override { return other(); }
  bool string(string_t& text) override {
    if (!in_map_ || depth_ != 2) return other();
    if (!map.emplace(key_, std::move(text)).second) fail(ErrorCode::kData, "duplicate tensor '{}'", key_);
    return true;
  }
  bool start_object(std::size_t) override {
    if (in_map_ && depth_ >= 2) return other();
    return enter();
  }
  bool start_array(std::size_t) override {
    if (depth_ == 0 || in_map_) return other();
    return enter();
  }
  bool end_object() override { return --depth_ >= 0; }
  bool end_array() override { return --depth_ >= 0; }
  bool key(string_t& text) override {
    key_ = std::move(text);
    if (depth_ == 1) {
      in_map_ = key_ == "weight_map";
      if (in_map_ && std::exchange(found, true)) fail(ErrorCode::kData, "duplicate key 'weight_map'");
    }
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    fail(ErrorCode::kData, "not valid JSON at byte {}", position);
  }

 private:
  bool enter() {
    if (++depth_ > 64) fail(ErrorCode::kData, "more than 64 nested levels");
    return true;
  }
  bool other() {
    if (depth_ == 0) fail(ErrorCode::kData, "expected an object with the member 'weight_map'");
    if (in_map_) fail(ErrorCode::kData, "'weight_map' must map tensor names to file names");
    return true;
  }
  std::string key_;
  int depth_ = 0;
  bool in_map_ = false;
};

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

void check_file_name(std::string name) {
  const bool inside = name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  if (name.empty() || name == "." || name.find("..") != std::string::npos || !inside) {
    std::replace(name.begin(), name.end(), '\0', '?');  // it would end the message
    fail(ErrorCode::kData, "'{}' is no plain file name; a shard must lie in the folder of its index", name);
  }
}

WeightMap read_index(const fs::path& path) {
  const std::string text = read_file(path, kMaxIndexBytes);
  return with_context(path.string(), [&] {
    if (const auto position = find_invalid_utf8(text)) fail(ErrorCode::kData, "invalid UTF-8 at byte {}", *position);
    IndexReader reader;
    Json::sax_parse(text, &reader);
    if (!reader.found) fail(ErrorCode::kData, "'weight_map' is missing");
    if (reader.map.empty()) fail(ErrorCode::kData, "'weight_map' is empty");
    return std::move(reader.map);
  });
}

std::vector<fs::path> shard_paths(const fs::path& folder, const WeightMap& map) {
  std::set<std::string> names;
  for (const auto& [tensor, file] : map) names.insert(file);
  std::vector<fs::path> paths;
  for (const std::string& name : names) {
    with_context((folder / kIndexFile).string(), [&] {
      check_file_name(name);
      if (!is_file(folder / name)) {
        fail(ErrorCode::kData, "the shard '{}' is missing; fetch the model again", name);
      }
    });
    paths.push_back(folder / name);
  }
  return paths;
}

bool holds_pickles(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".bin" && entry.path().filename().string().starts_with("pytorch_model"))
      return true;
  }
  return false;
}

[[noreturn]] void fail_without_weights(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) fail(ErrorCode::kData, "'{}' is not a folder", folder.string());
  if (holds_pickles(folder)) {
    fail(
        ErrorCode::kUnsupported,
        "'{}' has its weights in pytorch_model*.bin only, which are pickles that can run code; convert them in Python: "
        "AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, safe_serialization=True)",
        folder.string());
  }
  fail(ErrorCode::kData, "'{}' holds neither {} nor {}", folder.string(), kSingleFile, kIndexFile);
}

void check_agreement(const fs::path& index, const WeightMap& map,
                     const std::vector<std::shared_ptr<const SafetensorsFile>>& files) {
  for (const auto& file : files) {
    const std::string shard = file->path().filename().string();
    for (const TensorEntry& tensor : file->tensors()) {
      const auto found = map.find(tensor.name);
      if (found == map.end() || found->second != shard) {
        fail(ErrorCode::kData, "{}: tensor '{}' is in '{}', but the index says {}", index.string(), tensor.name, shard,
             found == map.end() ? std::string("nothing of it") : fmt::format("'{}'", found->second));
      }
    }
  }
  std::unordered_map<std::string, const SafetensorsFile*> by_name;
  for (const auto& file : files) by_name.emplace(file->path().filename().string(), file.get());
  for (const auto& [tensor, shard] : map) {
    if (by_name.at(shard)->find(tensor) == nullptr) {
      fail(ErrorCode::kData, "{}: tensor '{}' is not in '{}', where the index says it is", index.string(), tensor,
           shard);
    }
  }
}

void check_names_differ(const std::vector<std::shared_ptr<const SafetensorsFile>>& files) {
  std::unordered_map<std::string_view, const SafetensorsFile*> owners;
  for (const auto& file : files) {
    for (const TensorEntry& tensor : file->tensors()) {
      const auto [owner, fresh] = owners.emplace(tensor.name, file.get());
      if (!fresh) {
        fail(ErrorCode::kData, "tensor '{}' is in both '{}' and '{}'", tensor.name, owner->second->path().string(),
             file->path().string());
      }
    }
  }
}

}  // namespace

std::vector<fs::path> find_safetensors_files(const fs::path& folder) {
  if (is_file(folder / kSingleFile)) return {folder / kSingleFile};
  if (is_file(folder / kIndexFile)) return shard_paths(folder, read_index(folder / kIndexFile));
  fail_without_weights(folder);
}

std::vector<std::shared_ptr<const SafetensorsFile>> open_safetensors_folder(const fs::path& folder) {
  std::vector<std::shared_ptr<const SafetensorsFile>> files;
  if (is_file(folder / kSingleFile)) {
    files.push_back(SafetensorsFile::open(folder / kSingleFile));
    return files;
  }
  if (!is_file(folder / kIndexFile)) fail_without_weights(folder);
  const WeightMap map = read_index(folder / kIndexFile);
  for (const fs::path& path : shard_paths(folder, map)) files.push_back(SafetensorsFile::open(path));
  check_names_differ(files);
  check_agreement(folder / kIndexFile, map, files);
  return files;
}

}  // namespace lowbit
