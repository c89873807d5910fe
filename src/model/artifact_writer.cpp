#include <algorithm>
#include <future>
#include <optional>
#include <set>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/base/log.h"
#include "lowbit/base/resident.h"
#include "lowbit/base/work_folder.h"
#include "lowbit/containers/safetensors.h"
#include "lowbit/model/artifact.h"
#include "lowbit/model/weight_source.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"
#include "model/artifact_layout.h"
#include "model/artifact_numbers.h"
#include "model/artifact_shard.h"
#include "model/artifact_source.h"
#include "model/artifact_summary.h"
#include "model/artifact_tokenizer.h"
#include "model/rotation_config.h"
#include "model/runtime_record.h"
#include "model/side_by_side.h"

namespace lowbit {
namespace {

constexpr const char* kRecord = "lowbit.json";

// "model.layers." and 3 of "model.layers.3.mlp.up_proj.weight"; nothing for a tensor outside the blocks.
struct BlockName {
  std::string prefix;
  std::int64_t index = 0;
};
std::optional<BlockName> block_of(std::string_view tensor) {
  const std::string_view marker = "layers.";
  const std::size_t at = tensor.find(marker);
  if (at == std::string_view::npos || (at > 0 && tensor[at - 1] != '.')) return std::nullopt;
  std::size_t end = at + marker.size();
  std::int64_t index = 0;
  while (end < tensor.size() && tensor[end] >= '0' && tensor[end] <= '9' && index < 100000)
    index = index * 10 + (tensor[end++] - '0');
  if (end == at + marker.size() || end >= tensor.size() || tensor[end] != '.') return std::nullopt;
  return BlockName{std::string(tensor.substr(0, at + marker.size())), index};
}

constexpr const char* kHead = "lm_head";

}  // namespace

struct ArtifactWriter::Data {
  std::filesystem::path folder;
  std::shared_ptr<const WeightSource> base;
  const Tokenizer* tokenizer = nullptr;  // outlives the writer
  std::string key;
  std::int64_t blocks = 0;
  std::string block_prefix;
  Json config;  // the artifact's config.json without its quantization
  bool finished = false;
  bool wrote_rest = false;
  bool behind = false;

  std::filesystem::path shard_path(std::int64_t index) const {
    return folder / fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, blocks + 1);
  }
  void begin();
  void check_folder() const;
  void check_record();
  Json base_config() const;
  void write_record(const Json& extra) const;
  std::shared_ptr<const SafetensorsFile> open_shard(std::int64_t index) const;
  void add_plain(ArtifactShard& shard, const std::map<std::string, at::Tensor>& replaced) const;
  void hand_over(ArtifactShard shard);
  void wait();
  void write_index() const;
  // Whether config.json speaks of a shard: of those of blocks, and of the last one if its head is quantized.
  bool describes(std::int64_t index, bool all_plain) const { return index < blocks || !all_plain; }
  ArtifactSummary summary(const std::optional<RuntimeRecord>& kv_cache);
  void write_config(const Json& quantization) const;

  std::vector<std::optional<ArtifactSummary>> summaries;  // of the shards that this process has written
  std::future<void> writing;  // a shard, beside this thread's work; last, since it uses the others
};

void ArtifactWriter::Data::begin() {
  for (const StoredTensor& tensor : base->tensors()) {
    if (const auto name = block_of(tensor.name)) block_prefix = name->prefix;
  }
  blocks = base->architecture().layers;
  summaries.resize(static_cast<std::size_t>(blocks) + 1);
  config = base_config();
  make_folders(folder);
  remove_abandoned_writes(folder);
  if (std::filesystem::exists(folder / kRecord)) {
    check_record();
    return;
  }
  check_folder();
  write_record(Json::object());
}

// A run that was killed before it wrote its record leaves at most the record's temporary file.
void ArtifactWriter::Data::check_folder() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(fmt::format(".{}.part-", kRecord))) names.push_back(name);
  }
  if (names.empty()) return;
  std::sort(names.begin(), names.end());
  const std::string more = names.size() > 1 ? fmt::format(" and {} more", names.size() - 1) : "";
  fail(ErrorCode::kConfig,
       "{}: holds '{}'{} and no artifact that lowbit has begun; name a new or an empty folder for the artifact",
       folder.string(), names.front(), more);
}

// The base model's own config with what model transforms have changed; checked before any work, so that the folder will
// be read as the model that was quantized.
Json ArtifactWriter::Data::base_config() const {
  const Architecture& architecture = base->architecture();
  const std::filesystem::path file = base->path() / "config.json";
  Json result = std::filesystem::is_directory(base->path())
                    ? parse_json(read_file(file), file.string())
                    : parse_json(config_json_of(architecture, "float32"), "config.json");
  if (result.contains(kBaseConfig)) result = Json(result[kBaseConfig]);
  result.erase("quantization_config");
  result["tie_word_embeddings"] = architecture.tied_head;
  result.erase(kRotations);
  if (const Json rotations = rotations_of(architecture); !rotations.empty()) result[kRotations] = rotations;
  if (architecture_from_config(result.dump(), file.string()) != architecture) {
    fail(ErrorCode::kUnsupported,
         "{}: the architecture that is to be stored cannot be said in a config.json; of what a model transform may "
         "change, the head's tying and rotations can",
         base->path().string());
  }
  return result;
}

void ArtifactWriter::Data::check_record() {
  const std::string origin = (folder / kRecord).string();
  const Json record = parse_json(read_file(folder / kRecord), origin);
  const Json found = record.is_object() ? record.value("key", Json()) : Json();
  if (found != key) {
    fail(ErrorCode::kConfig,
         "{}: was begun under key {}, and this run's key is '{}'; name another folder or delete this one",
         folder.string(), found.is_string() ? fmt::format("'{}'", found.get<std::string>()) : found.dump(), key);
  }
  finished = record.value("finished", Json()) == true;
}

void ArtifactWriter::Data::write_record(const Json& extra) const {
  Json record = {
      {"format", kArtifactFormat}, {"key", key}, {"finished", false}, {"base", base->path().filename().string()}};
  record.update(extra);
  write_file_atomically(folder / kRecord, record.dump(2) + "\n");
}

std::shared_ptr<const SafetensorsFile> ArtifactWriter::Data::open_shard(std::int64_t index) const {
  const std::filesystem::path path = shard_path(index);
  if (!std::filesystem::exists(path)) return nullptr;
  auto shard = SafetensorsFile::open(path);
  const auto found = shard->metadata().find(kShardKey);
  if (found == shard->metadata().end() || found->second != key) {
    fail(ErrorCode::kConfig,
         "{}: was written under key '{}', and this run's key is '{}'; delete it or name another folder", path.string(),
         found == shard->metadata().end() ? "" : found->second, key);
  }
  return shard;
}

void ArtifactWriter::Data::add_plain(ArtifactShard& shard, const std::map<std::string, at::Tensor>& replaced) const {
  for (const auto& [name, tensor] : replaced) {
    const at::Tensor values = to_dtype(tensor.detach(), DType::kFloat32).cpu().contiguous();
    PendingTensor pending;
    pending.declaration = {name, StorageType::kF32, shape_of(values)};
    pending.bytes = encode_floats(values_of<float>(values), StorageType::kF32);
    shard.add_plain(std::move(pending));
  }
  for (const StoredTensor& tensor : base->tensors()) {
    const auto name = block_of(tensor.name);
    if ((name ? name->index : blocks) != shard.index) continue;
    if (replaced.contains(tensor.name) || shard.quantized.contains(tensor.name)) continue;
    shard.add_plain({{tensor.name, plain_type(tensor.type), tensor.shape}, {}, &tensor});
  }
}

void ArtifactWriter::Data::hand_over(ArtifactShard shard) {
  if (!describes(shard.index, shard.linears.empty())) shard.summary = {};
  summaries[static_cast<std::size_t>(shard.index)] = std::move(shard.summary);
  if (!behind) return shard.write(shard_path(shard.index), key, *base);
  writing = std::async(std::launch::async, [this, full = std::move(shard)]() mutable {
    const SingleThreadScope one_thread;
    full.write(shard_path(full.index), key, *base);
  });
}

void ArtifactWriter::Data::wait() {
  if (writing.valid()) writing.get();
}

void ArtifactWriter::Data::write_index() const {
  Json map = Json::object();
  std::int64_t bytes = 0;
  for (std::int64_t index = 0; index <= blocks; ++index) {
    const auto shard = open_shard(index);
    for (const TensorEntry& tensor : shard->tensors()) {
      map[tensor.name] = shard->path().filename().string();
      bytes += static_cast<std::int64_t>(tensor.data.size());
    }
  }
  const Json document = {{"metadata", {{"total_size", bytes}}}, {"weight_map", map}};
  write_file_atomically(folder / "model.safetensors.index.json", document.dump(1) + "\n");
}

// Reads again what an earlier process has written.
ArtifactSummary ArtifactWriter::Data::summary(const std::optional<RuntimeRecord>& kv_cache) {
  const std::int64_t at_once = blocks_side_by_side(base->architecture().block_parameters(), thread_count());
  for_each_block(blocks + 1, at_once, [&](std::int64_t index) {
    std::optional<ArtifactSummary>& part = summaries[static_cast<std::size_t>(index)];
    if (part) return;
    ArtifactSummary read;
    const auto shard = open_shard(index);
    if (describes(index, stored_linears(*shard).empty())) read.add(*shard);
    part = std::move(read);
  });
  ArtifactSummary whole;
  whole.add_architecture(base->architecture());
  // Copied, since who failed to finish may try again.
  for (const std::optional<ArtifactSummary>& part : summaries) whole.append(*part);
  if (kv_cache) whole.add_kv_cache(*kv_cache);
  if (!whole.obstacle().empty()) {
    log::info(
        "{}: written in lowbit's own layout, which other programs cannot load, since compressed-tensors cannot express "
        "{}",
        folder.string(), whole.obstacle());
  }
  return whole;
}

void ArtifactWriter::Data::write_config(const Json& quantization) const {
  Json stored = config;
  if (!quantization.is_null() && quantization["quant_method"] == "lowbit") {
    // transformers only warns of a quantization that it does not know and goes on with random weights; an unknown type
    // of model stops it.
    stored = {{"architectures", {"LowbitForCausalLM"}}, {"model_type", "lowbit"}, {kBaseConfig, config}};
  }
  if (!quantization.is_null()) stored["quantization_config"] = quantization;
  write_file_atomically(folder / "config.json", stored.dump(2) + "\n");
}

ArtifactWriter::ArtifactWriter(std::filesystem::path folder, std::shared_ptr<const WeightSource> base,
                               const Tokenizer& tokenizer, std::string key)
    : data_(std::make_unique<Data>()) {
  data_->folder = std::move(folder);
  data_->base = std::move(base);
  data_->tokenizer = &tokenizer;
  data_->key = std::move(key);
  data_->begin();
}

ArtifactWriter::~ArtifactWriter() = default;

bool ArtifactWriter::finished() const { return data_->finished; }

std::vector<std::int64_t> ArtifactWriter::finished_blocks() const {
  std::vector<std::int64_t> blocks;
  for (std::int64_t index = 0; index < data_->blocks; ++index) {
    if (data_->open_shard(index) != nullptr) blocks.push_back(index);
  }
  return blocks;
}

BlockArtifact ArtifactWriter::read_block(std::int64_t index) const {
  const auto shard = data_->open_shard(index);
  if (shard == nullptr) fail(ErrorCode::kInternal, "{}: block {} is not written yet", data_->folder.string(), index);
  BlockArtifact block;
  block.index = index;
  const std::string prefix = fmt::format("{}{}.", data_->block_prefix, index);
  std::set<std::string> parts;
  for (const StoredLinear& stored : stored_linears(*shard)) {
    for (const std::string& suffix : weight_suffixes()) parts.insert(stored.name + "." + suffix);
    block.linears[stored.name.substr(prefix.size())] = restore_linear(*shard, stored);
  }
  const Json described = stored_executions(*shard);
  for (const auto& [name, description] : described.items()) {
    std::vector<RuntimeRecord> records = restore_executions(*shard, name, description);
    for (const RuntimeRecord& record : records) {
      for (const auto& [suffix, tensor] : record.tensors) parts.insert(name + "." + suffix);
    }
    block.executions[name.substr(prefix.size())] = std::move(records);
  }
  for (const TensorEntry& tensor : shard->tensors()) {
    if (!parts.contains(tensor.name)) block.tensors[tensor.name] = decode_floats(tensor);
  }
  return block;
}

void ArtifactWriter::write_behind() { data_->behind = true; }

void ArtifactWriter::write_block(const BlockArtifact& block) {
  if (block.index < 0 || block.index >= data_->blocks) {
    fail(ErrorCode::kInternal, "{}: block {}, expected 0 .. {}", data_->folder.string(), block.index,
         data_->blocks - 1);
  }
  data_->wait();
  const std::string prefix = fmt::format("{}{}.", data_->block_prefix, block.index);
  ArtifactShard shard;
  shard.index = block.index;
  for (const auto& [slot, weight] : block.linears) {
    const auto records = block.executions.find(slot);
    shard.add(prefix + slot, weight,
              records == block.executions.end() ? std::vector<RuntimeRecord>() : records->second);
  }
  for (const auto& [slot, records] : block.executions) {
    if (!records.empty()) shard.add_records(prefix + slot, records);
  }
  data_->add_plain(shard, block.tensors);
  data_->hand_over(std::move(shard));
}

void ArtifactWriter::write_rest(const std::map<std::string, at::Tensor>& tensors,
                                const std::optional<QuantizedWeight>& head) {
  data_->wait();
  release_freed_memory();
  ArtifactShard shard;
  shard.index = data_->blocks;
  if (head) shard.add(kHead, *head, {});
  data_->add_plain(shard, tensors);
  data_->hand_over(std::move(shard));
  save_tokenizer(*data_->tokenizer, data_->base->path(), data_->folder);
  data_->wrote_rest = true;
}

StoredSize ArtifactWriter::finish(const std::string& description, const std::map<std::string, at::Tensor>& tensors,
                                  const std::optional<RuntimeRecord>& kv_cache,
                                  const std::optional<QuantizedWeight>& head) {
  if (data_->finished) return stored_size(*open_weights(data_->folder));
  data_->wait();
  const auto done = finished_blocks();
  if (static_cast<std::int64_t>(done.size()) != data_->blocks) {
    fail(ErrorCode::kInternal, "{}: {} of {} blocks are written", data_->folder.string(), done.size(), data_->blocks);
  }
  if (!data_->wrote_rest) write_rest(tensors, head);
  data_->wait();
  data_->write_index();
  Json record = {{"description", parse_json(description, "description")}};
  const ArtifactSummary summary = data_->summary(kv_cache);
  data_->write_config(summary.quantization_config(record));
  record["finished"] = true;
  data_->write_record(record);
  data_->finished = true;
  return summary.size(data_->folder);
}

}  // namespace lowbit
