#include "model/artifact_source.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/resident.h"
#include "lowbit/model/activation_scheme.h"
#include "lowbit/model/architecture.h"
#include "lowbit/tensor/factory.h"
#include "model/artifact_layout.h"
#include "model/artifact_numbers.h"
#include "model/compressed_tensors.h"
#include "model/expected_tensors.h"
#include "model/fingerprint.h"
#include "model/runtime_record.h"
#include "model/stored_scheme.h"

namespace lowbit {
namespace {

// The linear whose codes a tensor holds.
std::optional<std::string> linear_of_codes(const TensorEntry& entry) {
  const std::string suffix = entry.type == StorageType::kF8E4M3 ? ".weight" : ".weight_packed";
  if (!entry.name.ends_with(suffix)) return std::nullopt;
  return entry.name.substr(0, entry.name.size() - suffix.size());
}

FindPart finder(const SafetensorsFile& shard, const std::string& linear) {
  return [&shard, linear](std::string_view suffix) { return shard.find(fmt::format("{}.{}", linear, suffix)); };
}

// What one linear is stored in.
struct Linear {
  std::shared_ptr<const SafetensorsFile> shard;
  Json description;
};

struct Plain {
  std::shared_ptr<const SafetensorsFile> shard;
  const TensorEntry* entry = nullptr;
};

// Whether the records described for a linear have a tensor of that suffix.
bool names_tensor(const std::map<std::string, Linear, std::less<>>& executions, const std::string& linear,
                  const std::string& suffix) {
  const auto found = executions.find(linear);
  if (found == executions.end() || !found->second.description.is_array()) return false;
  return std::any_of(found->second.description.begin(), found->second.description.end(), [&](const Json& record) {
    const Json names = record.is_object() ? record.value("tensors", Json()) : Json();
    return std::find(names.begin(), names.end(), Json(suffix)) != names.end();
  });
}

// The record of a scheme that config.json of another program gives; asymmetric static ones have a zero point.
Json describe_foreign_input(const ActivationScheme& scheme) {
  Json record = describe_record({ActivationScheme::kRecordName, echo_fields(scheme), {}});
  record["tensors"] = Json::array();
  if (scheme.per == ActivationScheme::Per::kTensor) {
    record["tensors"].push_back(ActivationScheme::kScale);
    if (scheme.symmetry == Symmetry::kAsymmetric) record["tensors"].push_back(ActivationScheme::kZero);
  }
  return Json::array({record});
}

at::Tensor read_plain(const Plain& tensor) {
  return is_common(tensor.entry->type) ? read_floats(*tensor.entry, tensor.shard->mapping())
                                       : decode_floats(*tensor.entry);
}

class ArtifactSource : public WeightSource {
 public:
  explicit ArtifactSource(const std::filesystem::path& folder);

  const Architecture& architecture() const override { return architecture_; }
  const std::vector<StoredTensor>& tensors() const override { return tensors_; }
  bool contains(std::string_view name) const override;
  at::Tensor load(std::string_view name, const std::vector<std::int64_t>& shape) const override;
  std::optional<at::Tensor> load_rows(std::string_view name, const std::vector<std::int64_t>& shape, std::int64_t first,
                                      std::int64_t count) const override;
  std::optional<QuantizedWeight> load_quantized(std::string_view linear) const override;
  std::vector<RuntimeRecord> executions(std::string_view linear) const override;
  std::optional<RuntimeRecord> kv_cache() const override { return kv_cache_; }
  Hash fingerprint() const override;
  const std::filesystem::path& path() const override { return path_; }
  std::string format() const override { return format_; }

 private:
  void read_config();
  void add_shard(const std::shared_ptr<const SafetensorsFile>& shard);
  void add_executions(const std::shared_ptr<const SafetensorsFile>& shard);
  void add_linear(const std::shared_ptr<const SafetensorsFile>& shard, const std::string& name, Json description);
  [[nodiscard]] Json describe_foreign(const SafetensorsFile& shard, const std::string& linear) const;

  std::filesystem::path path_;
  std::string config_text_;
  Architecture architecture_;
  std::string format_;
  std::optional<CompressedTensorsConfig> scheme_;
  std::vector<std::shared_ptr<const SafetensorsFile>> shards_;
  std::map<std::string, Linear, std::less<>> linears_;
  std::map<std::string, Linear, std::less<>> executions_;  // descriptions of records
  std::map<std::string, Plain, std::less<>> plain_;
  std::optional<RuntimeRecord> kv_cache_;
  std::vector<StoredTensor> tensors_;
  mutable std::mutex mutex_;
  mutable std::optional<Hash> fingerprint_;
};

ArtifactSource::ArtifactSource(const std::filesystem::path& folder) : path_(folder) {
  read_config();
  shards_ = open_safetensors_folder(folder);
  for (const auto& shard : shards_) add_shard(shard);
}

void ArtifactSource::read_config() {
  const std::filesystem::path file = path_ / "config.json";
  config_text_ = read_file(file, std::uint64_t{1} << 24);
  const Json config = parse_json(config_text_, file.string());
  if (!config.is_object()) fail(ErrorCode::kData, "{}: expected an object", file.string());
  const Json quantization = config.value("quantization_config", Json::object());
  const Json method = quantization.is_object() ? quantization.value("quant_method", Json()) : Json();
  if (method == "lowbit") {
    const Json version = quantization.value("version", Json());
    if (!version.is_number_integer() || version < 1 || version > kArtifactFormat) {
      fail(ErrorCode::kUnsupported, "{}: version {} of lowbit's own layout; this build reads 1 to {}", file.string(),
           version.dump(), kArtifactFormat);
    }
    const auto base = config.find(kBaseConfig);
    if (base == config.end()) fail(ErrorCode::kData, "{}: '{}' is missing", file.string(), kBaseConfig);
    architecture_ = architecture_from_config(base->dump(), file.string());
    format_ = "lowbit's own layout";
    if (const auto cache = quantization.find(kKvCache); cache != quantization.end()) {
      kv_cache_ =
          with_context(fmt::format("{}: {}", file.string(), kKvCache), [&] { return described_record(*cache); });
    }
  } else if (method == "compressed-tensors") {
    architecture_ = architecture_from_config(config_text_, file.string());
    scheme_.emplace(quantization, file.string());
    format_ = "compressed-tensors " + scheme_->format();
  } else {
    fail(ErrorCode::kUnsupported,
         "{}: quantization method {} is not supported; lowbit reads 'compressed-tensors' and its own", file.string(),
         method.dump());
  }
}

void ArtifactSource::add_shard(const std::shared_ptr<const SafetensorsFile>& shard) {
  for (StoredLinear& linear : stored_linears(*shard)) add_linear(shard, linear.name, std::move(linear.description));
  for (const TensorEntry& entry : shard->tensors()) {
    const auto name = linear_of_codes(entry);
    if (!name || linears_.contains(*name)) continue;
    if (!scheme_) {
      fail(ErrorCode::kData, "{}: '{}' is packed, but the file does not describe it", shard->path().string(), *name);
    }
    add_linear(shard, *name, describe_foreign(*shard, *name));
  }
  add_executions(shard);
  for (const TensorEntry& entry : shard->tensors()) {
    const std::size_t dot = entry.name.rfind('.');
    const std::string linear = entry.name.substr(0, dot == std::string::npos ? 0 : dot);
    const bool part = linears_.contains(linear) && std::find(weight_suffixes().begin(), weight_suffixes().end(),
                                                             entry.name.substr(dot + 1)) != weight_suffixes().end();
    if (part || names_tensor(executions_, linear, entry.name.substr(dot + 1))) continue;
    plain_[entry.name] = {shard, &entry};
    tensors_.push_back({entry.name, std::string(storage_type_name(entry.type)), entry.shape,
                        static_cast<std::int64_t>(entry.data.size())});
  }
}

// Those that lowbit described, and those that the scheme of a file by others asks for.
void ArtifactSource::add_executions(const std::shared_ptr<const SafetensorsFile>& shard) {
  const Json described = stored_executions(*shard);
  for (const auto& [linear, description] : described.items()) {
    executions_[linear] = {shard, description};
  }
  if (!scheme_ || shard->metadata().contains(kShardLinears)) return;
  for (const TensorEntry& entry : shard->tensors()) {
    const auto linear = linear_of_codes(entry);
    if (!linear || executions_.contains(*linear)) continue;
    if (const auto& input = scheme_->scheme_of(*linear).input) {
      executions_[*linear] = {shard, describe_foreign_input(*input)};
    }
  }
}

Json ArtifactSource::describe_foreign(const SafetensorsFile& shard, const std::string& linear) const {
  const TensorEntry* scales = shard.find(linear + ".weight_scale");
  return with_context(fmt::format("{}: {}", shard.path().string(), linear), [&] {
    if (scales == nullptr) fail(ErrorCode::kData, "tensor 'weight_scale' is missing");
    return describe_packed(scheme_->scheme_of(linear), *scales);
  });
}

void ArtifactSource::add_linear(const std::shared_ptr<const SafetensorsFile>& shard, const std::string& name,
                                Json description) {
  // The stored shape and grid are enough for the list; codes are read when asked for.
  const StoredLinear stored{name, description};
  StoredTensor tensor{name + ".weight", description.value("kind", "?"), {}, 0};
  with_context(fmt::format("{}: {}", shard->path().string(), name), [&] {
    tensor.shape = stored_shape(finder(*shard, name));
    tensor.type = described_grid(description).text();
  });
  for (const std::string& suffix : weight_suffixes()) {
    if (const TensorEntry* entry = shard->find(name + "." + suffix))
      tensor.bytes += static_cast<std::int64_t>(entry->data.size());
  }
  tensors_.push_back(std::move(tensor));
  linears_[name] = {shard, std::move(description)};
}

bool ArtifactSource::contains(std::string_view name) const {
  const std::string suffix = ".weight";
  return plain_.contains(name) ||
         (name.ends_with(suffix) && linears_.contains(name.substr(0, name.size() - suffix.size())));
}

at::Tensor ArtifactSource::load(std::string_view name, const std::vector<std::int64_t>& shape) const {
  at::Tensor tensor;
  if (const auto found = plain_.find(name); found != plain_.end()) {
    if (found->second.entry->shape == shape) return read_plain(found->second);
    fail(ErrorCode::kData, "{}: tensor '{}' is {}, expected {}", path_.string(), name,
         shape_text(found->second.entry->shape), shape_text(shape));
  }
  if (!contains(name)) fail(ErrorCode::kData, "{}: tensor '{}' is missing", path_.string(), name);
  const auto weight = load_quantized(name.substr(0, name.size() - std::string_view(".weight").size()));
  if (shape != Shape{weight->rows(), weight->columns()}) {
    fail(ErrorCode::kData, "{}: tensor '{}' is [{}, {}], expected {}", path_.string(), name, weight->rows(),
         weight->columns(), shape_text(shape));
  }
  return weight->dequantize();
}

std::optional<at::Tensor> ArtifactSource::load_rows(std::string_view name, const std::vector<std::int64_t>& shape,
                                                    std::int64_t first, std::int64_t count) const {
  const auto found = plain_.find(name);
  if (found == plain_.end() || found->second.entry->shape != shape || !is_common(found->second.entry->type)) {
    return std::nullopt;
  }
  return read_rows(*found->second.entry, found->second.shard->mapping(), first, count);
}

std::optional<QuantizedWeight> ArtifactSource::load_quantized(std::string_view linear) const {
  const auto found = linears_.find(linear);
  if (found == linears_.end()) return std::nullopt;
  const SafetensorsFile& shard = *found->second.shard;
  std::optional<QuantizedWeight> weight = restore_linear(shard, {found->first, found->second.description});
  for (const std::string& suffix : weight_suffixes()) {
    if (const TensorEntry* part = shard.find(fmt::format("{}.{}", linear, suffix)))
      release_resident(*shard.mapping(), part->data);
  }
  return weight;
}

std::vector<RuntimeRecord> ArtifactSource::executions(std::string_view linear) const {
  const auto found = executions_.find(linear);
  if (found == executions_.end()) return {};
  return restore_executions(*found->second.shard, found->first, found->second.description);
}

Hash ArtifactSource::fingerprint() const {
  const std::lock_guard lock(mutex_);
  if (!fingerprint_) {
    Hasher hasher;
    hasher.add(config_text_);
    for (const auto& shard : shards_) hasher.add(file_fingerprint(shard->path()));
    fingerprint_ = hasher.finish();
  }
  return *fingerprint_;
}

}  // namespace

std::vector<StoredLinear> stored_linears(const SafetensorsFile& shard) {
  const auto text = shard.metadata().find(kShardLinears);
  if (text == shard.metadata().end()) return {};
  const std::string origin = shard.path().string() + ": " + kShardLinears;
  const Json described = parse_json(text->second, origin);
  if (!described.is_object()) fail(ErrorCode::kData, "{}: expected an object", origin);
  std::vector<StoredLinear> linears;
  for (const auto& [name, description] : described.items()) linears.push_back({name, description});
  return linears;
}

QuantizedWeight restore_linear(const SafetensorsFile& shard, const StoredLinear& linear) {
  return with_context(shard.path().string(), [&] {
    return with_context(linear.name, [&] {
      QuantizedWeight weight = restore_weight(linear.description, finder(shard, linear.name));
      weight.check("stored weight");
      return weight;
    });
  });
}

Json stored_executions(const SafetensorsFile& shard) {
  const auto text = shard.metadata().find(kShardExecutions);
  if (text == shard.metadata().end()) return Json::object();
  const std::string origin = shard.path().string() + ": " + kShardExecutions;
  Json described = parse_json(text->second, origin);
  if (!described.is_object()) fail(ErrorCode::kData, "{}: expected an object", origin);
  return described;
}

std::vector<RuntimeRecord> restore_executions(const SafetensorsFile& shard, const std::string& linear,
                                              const Json& description) {
  return with_context(shard.path().string(), [&] {
    return with_context(linear, [&] { return restore_records(description, finder(shard, linear)); });
  });
}

std::shared_ptr<const WeightSource> open_artifact(const std::filesystem::path& folder) {
  return std::make_shared<ArtifactSource>(folder);
}

}  // namespace lowbit
