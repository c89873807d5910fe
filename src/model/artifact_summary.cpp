#include "model/artifact_summary.h"

#include "lowbit/base/error.h"
#include "model/artifact_layout.h"
#include "model/runtime_record.h"
#include "model/stored_scheme.h"

namespace lowbit {
namespace {

// What readers knew before anything could run beside the weights.
constexpr int kWeightsOnlyFormat = 1;

}  // namespace

void ArtifactSummary::note_obstacle(const std::string& linear, const std::string& reason) {
  if (obstacle_.empty() && !reason.empty()) obstacle_ = fmt::format("'{}': {}", linear, reason);
}

void ArtifactSummary::add_linear(const SafetensorsFile& shard, const StoredLinear& stored, const Json& executions) {
  const QuantizedWeight weight = restore_linear(shard, stored);
  SchemeOfLinear scheme{stored.name, packed_scheme(weight)};
  std::vector<RuntimeRecord> records;
  if (executions.contains(stored.name)) records = restore_executions(shard, stored.name, executions[stored.name]);
  const std::string reason = compressed_tensors_obstacle(records);
  note_obstacle(stored.name, compressed_tensors_obstacle(weight));
  note_obstacle(stored.name, reason);
  if (reason.empty() && !records.empty()) scheme.scheme.input = activation_scheme_of(records.front());
  linears_.push_back(std::move(scheme));
  bits_ += weight.stored_bits();
  weights_ += weight.codes.numel();
}

void ArtifactSummary::add(const SafetensorsFile& shard) {
  const Json executions = stored_executions(shard);
  std::set<std::string> quantized;
  for (const StoredLinear& stored : stored_linears(shard)) {
    add_linear(shard, stored, executions);
    quantized.insert(stored.name);
  }
  for (const auto& [linear, records] : executions.items()) {
    has_records_ = true;
    if (!quantized.contains(linear)) note_obstacle(linear, "something runs around the product of a float weight");
  }
  for (const TensorEntry& tensor : shard.tensors()) {
    const std::string suffix = ".weight";
    if (tensor.shape.size() != 2 || !tensor.name.ends_with(suffix)) continue;
    const std::string name = tensor.name.substr(0, tensor.name.size() - suffix.size());
    if (!quantized.contains(name)) plain_.push_back(name);
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

}  // namespace lowbit
