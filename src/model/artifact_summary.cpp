#include "model/artifact_summary.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/model/weight_source.h"
#include "model/artifact_layout.h"
#include "model/runtime_record.h"
#include "model/stored_scheme.h"

namespace lowbit {
namespace {

// What readers knew before anything could run beside the weights.
constexpr int kWeightsOnlyFormat = 1;

double bits_a_weight(std::int64_t bits, std::int64_t weights) {
  return weights > 0 ? static_cast<double>(bits) / static_cast<double>(weights) : 0.0;
}

std::int64_t bytes_of_shards(const std::filesystem::path& folder) {
  std::int64_t bytes = 0;
  for (const auto& file : find_safetensors_files(folder)) {
    bytes += static_cast<std::int64_t>(std::filesystem::file_size(file));
  }
  return bytes;
}

}  // namespace

void ArtifactSummary::note_obstacle(const std::string& linear, const std::string& reason) {
  if (obstacle_.empty() && !reason.empty()) obstacle_ = fmt::format("'{}': {}", linear, reason);
}

void ArtifactSummary::add_linear(const std::string& linear, const QuantizedWeight& weight,
                                 const std::vector<RuntimeRecord>& records) {
  SchemeOfLinear scheme{linear, packed_scheme(weight)};
  const std::string reason = compressed_tensors_obstacle(records);
  note_obstacle(linear, compressed_tensors_obstacle(weight));
  note_obstacle(linear, reason);
  if (reason.empty() && !records.empty()) scheme.scheme.input = activation_scheme_of(records.front());
  linears_.push_back(std::move(scheme));
  has_records_ = has_records_ || !records.empty();
  bits_ += weight.stored_bits();
  weights_ += weight.codes.numel();
}

void ArtifactSummary::add_float_linear(const std::string& linear) {
  has_records_ = true;
  note_obstacle(linear, "something runs around the product of a float weight");
}

void ArtifactSummary::add_plain(const std::string& tensor, const std::vector<std::int64_t>& shape) {
  const std::string suffix = ".weight";
  if (shape.size() == 2 && tensor.ends_with(suffix)) plain_.push_back(tensor.substr(0, tensor.size() - suffix.size()));
}

void ArtifactSummary::add(const SafetensorsFile& shard) {
  const Json executions = stored_executions(shard);
  std::set<std::string> quantized;
  for (const StoredLinear& stored : stored_linears(shard)) {
    std::vector<RuntimeRecord> records;
    if (executions.contains(stored.name)) records = restore_executions(shard, stored.name, executions[stored.name]);
    add_linear(stored.name, restore_linear(shard, stored), records);
    quantized.insert(stored.name + ".weight");
  }
  for (const auto& [linear, records] : executions.items()) {
    if (!quantized.contains(linear + ".weight")) add_float_linear(linear);
  }
  for (const TensorEntry& tensor : shard.tensors()) {
    if (!quantized.contains(tensor.name)) add_plain(tensor.name, tensor.shape);
  }
}

void ArtifactSummary::add_architecture(const Architecture& architecture) {
  const std::string reason = transformers_obstacle(architecture);
  if (reason.empty()) return;
  has_records_ = true;
  if (obstacle_.empty()) obstacle_ = reason;
}

void ArtifactSummary::add_kv_cache(const RuntimeRecord& record) {
  if (!record.tensors.empty()) fail(ErrorCode::kInternal, "the KV cache's record '{}' has tensors", record.name);
  kv_cache_ = describe_record(record);
  has_records_ = true;
  if (obstacle_.empty()) obstacle_ = fmt::format("keys and values kept by '{}'", record.name);
}

void ArtifactSummary::append(ArtifactSummary next) {
  std::move(next.linears_.begin(), next.linears_.end(), std::back_inserter(linears_));
  std::sort(next.plain_.begin(), next.plain_.end());  // told as written and as read back come in other orders
  std::move(next.plain_.begin(), next.plain_.end(), std::back_inserter(plain_));
  if (obstacle_.empty()) obstacle_ = std::move(next.obstacle_);
  if (!next.kv_cache_.is_null()) kv_cache_ = std::move(next.kv_cache_);
  has_records_ = has_records_ || next.has_records_;
  bits_ += next.bits_;
  weights_ += next.weights_;
}

StoredSize ArtifactSummary::size(const std::filesystem::path& folder) const {
  return {bits_a_weight(bits_, weights_), weights_, bytes_of_shards(folder)};
}

Json ArtifactSummary::quantization_config(Json& record) const {
  record["quantized_weights"] = weights_;
  record["stored_bits"] = bits_;
  if (linears_.empty() && !has_records_) {
    record["layout"] = "plain";
    return {};
  }
  if (obstacle_.empty()) {
    Json config = compressed_tensors_config(linears_, plain_);
    record["layout"] = "compressed-tensors " + config["format"].get<std::string>();
    return config;
  }
  record["layout"] = "lowbit";
  record["layout_reason"] = obstacle_;
  Json own = {{"quant_method", "lowbit"}, {"version", has_records_ ? kArtifactFormat : kWeightsOnlyFormat}};
  if (!kv_cache_.is_null()) own[kKvCache] = kv_cache_;
  return own;
}

StoredSize stored_size(const WeightSource& weights) {
  std::int64_t bits = 0;
  std::int64_t count = 0;
  for (const StoredTensor& tensor : weights.tensors()) {
    const std::string suffix = ".weight";
    if (!tensor.name.ends_with(suffix)) continue;
    const auto weight = weights.load_quantized(tensor.name.substr(0, tensor.name.size() - suffix.size()));
    if (!weight) continue;
    bits += weight->stored_bits();
    count += weight->codes.numel();
  }
  const std::int64_t bytes = std::filesystem::is_directory(weights.path())
                                 ? bytes_of_shards(weights.path())
                                 : static_cast<std::int64_t>(std::filesystem::file_size(weights.path()));
  return {bits_a_weight(bits, count), count, bytes};
}

}  // namespace lowbit
