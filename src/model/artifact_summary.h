#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lowbit/base/json.h"
#include "lowbit/containers/safetensors.h"
#include "lowbit/model/artifact.h"
#include "lowbit/model/linear_op.h"
#include "model/artifact_source.h"
#include "model/compressed_tensors.h"

namespace lowbit {

/// What the shards of an artifact hold, for config.json and lowbit.json. An artifact is either wholly
/// compressed-tensors' or wholly lowbit's own, so that no reader loads half a model or leaves out what runs beside it.
class ArtifactSummary {
 public:
  /// A quantized weight, and what runs around its product.
  void add_linear(const std::string& linear, const QuantizedWeight& weight, const std::vector<RuntimeRecord>& records);
  /// What runs around the product of a float weight.
  void add_float_linear(const std::string& linear);
  /// A tensor that is stored as it is.
  void add_plain(const std::string& tensor, const std::vector<std::int64_t>& shape);
  /// All that a shard holds, read back.
  void add(const SafetensorsFile& shard);
  void add_architecture(const Architecture& architecture);
  void add_kv_cache(const RuntimeRecord& record);
  /// What `next` was told, behind what this one was; its plain tensors by name.
  void append(ArtifactSummary next);

  /// config.json's `quantization_config`; null for a model with nothing quantized. Numbers and layout go into `record`.
  [[nodiscard]] Json quantization_config(Json& record) const;
  /// Why compressed-tensors cannot express the artifact; empty when it can.
  [[nodiscard]] const std::string& obstacle() const { return obstacle_; }
  /// Of the artifact in `folder`.
  [[nodiscard]] StoredSize size(const std::filesystem::path& folder) const;

 private:
  void note_obstacle(const std::string& linear, const std::string& reason);

  std::vector<SchemeOfLinear> linears_;
  std::vector<std::string> plain_;
  std::string obstacle_;
  Json kv_cache_;
  bool has_records_ = false;
  std::int64_t bits_ = 0;
  std::int64_t weights_ = 0;
};

}  // namespace lowbit
