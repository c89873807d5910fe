#include "model/artifact_shard.h"

#include <map>
#include <utility>

#include "lowbit/containers/safetensors.h"
#include "model/artifact_source.h"
#include "model/runtime_record.h"

namespace lowbit {

void ArtifactShard::add_parts(const std::string& linear, std::vector<StoredPart> parts) {
  for (StoredPart& part : parts) {
    tensors.push_back({{linear + "." + part.suffix, part.type, part.shape}, std::move(part.bytes)});
  }
}

void ArtifactShard::add(const std::string& linear, const QuantizedWeight& weight,
                        const std::vector<RuntimeRecord>& records) {
  weight.check(linear);
  add_parts(linear, store_weight(weight));
  linears[linear] = describe_weight(weight);
  quantized.insert(linear + ".weight");
  summary.add_linear(linear, weight, records);
}

void ArtifactShard::add_records(const std::string& linear, const std::vector<RuntimeRecord>& records) {
  executions[linear] = describe_records(records);
  add_parts(linear, store_record_tensors(records));
  if (!quantized.contains(linear + ".weight")) summary.add_float_linear(linear);
}

void ArtifactShard::add_plain(PendingTensor tensor) {
  summary.add_plain(tensor.declaration.name, tensor.declaration.shape);
  tensors.push_back(std::move(tensor));
}

void ArtifactShard::write(const std::filesystem::path& path, const std::string& key, const WeightSource& base) {
  std::vector<SafetensorsWriter::Declaration> declarations;
  for (const PendingTensor& tensor : tensors) declarations.push_back(tensor.declaration);
  std::map<std::string, std::string> metadata = {{"format", "pt"}, {kShardKey, key}, {kShardLinears, linears.dump()}};
  if (!executions.empty()) metadata[kShardExecutions] = executions.dump();
  SafetensorsWriter writer(path, declarations, metadata);
  for (const std::size_t i : writer.order()) write_pending(writer, base, tensors[i]);
  writer.finish();
}

}  // namespace lowbit
