#include "model/safetensors_source.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/containers/safetensors.h"
#include "lowbit/tensor/factory.h"
#include "model/config_keys.h"
#include "model/expected_tensors.h"
#include "model/fingerprint.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{1} << 24;

// Some old files leave out the leading "model.".
std::string canonical_name(const std::string& stored) {
  if (stored.starts_with("model.") || stored.starts_with("lm_head.")) return stored;
  return "model." + stored;
}

// Rotary frequencies follow from the configuration; files of 2023 store them all the same.
bool is_ignored(const std::string& name) { return name.ends_with("rotary_emb.inv_freq"); }

class SafetensorsSource : public WeightSource {
 public:
  explicit SafetensorsSource(const fs::path& folder) : path_(folder), files_(open_safetensors_folder(folder)) {
    const fs::path config = folder / "config.json";
    architecture_ = architecture_from_config(read_file(config, kMaxConfigBytes), config.string());
    apply_generation_config(folder, architecture_);
    for (const auto& file : files_) add(file);
    check_tensors(architecture_, tensors_, folder.string());
  }

  const Architecture& architecture() const override { return architecture_; }
  const std::vector<StoredTensor>& tensors() const override { return tensors_; }
  bool contains(std::string_view name) const override { return entries_.contains(name); }
  at::Tensor load(std::string_view name, const std::vector<std::int64_t>& shape) const override;
  std::optional<at::Tensor> load_rows(std::string_view name, const std::vector<std::int64_t>& shape, std::int64_t first,
                                      std::int64_t count) const override;
  std::optional<QuantizedWeight> load_quantized(std::string_view) const override { return std::nullopt; }
  Hash fingerprint() const override;
  const fs::path& path() const override { return path_; }
  std::string format() const override {
    return files_.size() == 1 ? "safetensors" : fmt::format("safetensors, {} shards", files_.size());
  }

 private:
  struct Entry {
    std::shared_ptr<const SafetensorsFile> file;
    const TensorEntry* tensor = nullptr;
  };
  void add(const std::shared_ptr<const SafetensorsFile>& file);
  [[nodiscard]] const Entry& entry(std::string_view name, const std::vector<std::int64_t>& shape) const;

  fs::path path_;
  std::vector<std::shared_ptr<const SafetensorsFile>> files_;
  Architecture architecture_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<StoredTensor> tensors_;
  mutable std::mutex mutex_;
  mutable std::optional<Hash> fingerprint_;
};

void SafetensorsSource::add(const std::shared_ptr<const SafetensorsFile>& file) {
  for (const TensorEntry& tensor : file->tensors()) {
    if (is_ignored(tensor.name)) continue;
    const std::string name = canonical_name(tensor.name);
    entries_[name] = {file, &tensor};
    tensors_.push_back({name, std::string(storage_type_name(tensor.type)), tensor.shape,
                        static_cast<std::int64_t>(tensor.data.size())});
  }
}

const SafetensorsSource::Entry& SafetensorsSource::entry(std::string_view name,
                                                         const std::vector<std::int64_t>& shape) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) fail(ErrorCode::kData, "{}: tensor '{}' is missing", path_.string(), name);
  const std::vector<std::int64_t>& stored = found->second.tensor->shape;
  if (stored != shape) {
    fail(ErrorCode::kData, "{}: tensor '{}' has shape {}, expected {}", path_.string(), name, shape_text(stored),
         shape_text(shape));
  }
  return found->second;
}

at::Tensor SafetensorsSource::load(std::string_view name, const std::vector<std::int64_t>& shape) const {
  const auto& [file, tensor] = entry(name, shape);
  return read_floats(*tensor, file->mapping());
}

std::optional<at::Tensor> SafetensorsSource::load_rows(std::string_view name, const std::vector<std::int64_t>& shape,
                                                       std::int64_t first, std::int64_t count) const {
  const auto& [file, tensor] = entry(name, shape);
  return read_rows(*tensor, file->mapping(), first, count);
}

Hash SafetensorsSource::fingerprint() const {
  const std::lock_guard lock(mutex_);
  if (!fingerprint_) {
    Hasher hasher;
    hasher.add(config_json_of(architecture_, "float32"));
    for (const auto& file : files_) hasher.add(file_fingerprint(file->path()));
    fingerprint_ = hasher.finish();
  }
  return *fingerprint_;
}

}  // namespace

void apply_generation_config(const fs::path& folder, Architecture& architecture) {
  const fs::path path = folder / "generation_config.json";
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return;
  const Json json = parse_json(read_file(path, kMaxConfigBytes), path.string());
  const std::vector<std::int64_t> eos = ConfigKeys(json, path.string()).integers("eos_token_id");
  if (eos.empty()) return;
  architecture.eos = eos;
  architecture.check(path.string());
}

std::shared_ptr<const WeightSource> open_safetensors_folder_source(const fs::path& folder) {
  return std::make_shared<SafetensorsSource>(folder);
}

}  // namespace lowbit
