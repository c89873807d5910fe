#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "lowbit/base/json.h"
#include "lowbit/formats/quantized_weight.h"
#include "lowbit/model/linear_op.h"
#include "lowbit/model/weight_source.h"
#include "model/artifact_layout.h"
#include "model/artifact_summary.h"
#include "model/pending_tensor.h"

namespace lowbit {

/// Everything that goes into one file of an artifact.
struct ArtifactShard {
  std::int64_t index = 0;
  std::vector<PendingTensor> tensors;
  Json linears = Json::object();
  Json executions = Json::object();
  std::set<std::string> quantized;  ///< names of weights
  ArtifactSummary summary;

  /// `records`: what runs around the product, which `add_records` stores.
  void add(const std::string& linear, const QuantizedWeight& weight, const std::vector<RuntimeRecord>& records);
  /// Behind all weights.
  void add_records(const std::string& linear, const std::vector<RuntimeRecord>& records);
  void add_plain(PendingTensor tensor);

  /// Atomically, under the artifact's key; what is still to be read comes from `base`. Lets go of each tensor's bytes.
  void write(const std::filesystem::path& path, const std::string& key, const WeightSource& base);

 private:
  void add_parts(const std::string& linear, std::vector<StoredPart> parts);
};

}  // namespace lowbit
