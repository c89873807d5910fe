#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/json.h"
#include "lowbit/containers/safetensors.h"
#include "lowbit/model/weight_source.h"

namespace lowbit {

/// A folder whose config.json has a `quantization_config`: compressed-tensors' formats, by whomever it
/// was written, or lowbit's own. Throws `kUnsupported` naming any other format.
[[nodiscard]] std::shared_ptr<const WeightSource> open_artifact(const std::filesystem::path& folder);

/// One quantized linear of a shard by name, with the description that lowbit put into the shard.
struct StoredLinear {
  std::string name;
  Json description;
};
/// The linears that a shard's metadata describe; none for a shard that lowbit did not write. Throws `kData`.
[[nodiscard]] std::vector<StoredLinear> stored_linears(const SafetensorsFile& shard);
/// Reads such a linear back. Throws `kData` as "<shard>: <linear>: ...".
[[nodiscard]] QuantizedWeight restore_linear(const SafetensorsFile& shard, const StoredLinear& linear);

/// What a shard's metadata say of what runs around products: linear -> list of records (`restore_records`); an empty
/// object for a shard without such. Throws `kData`.
[[nodiscard]] Json stored_executions(const SafetensorsFile& shard);
/// The records of one linear, read back. Throws `kData` as "<shard>: <linear>: ...".
[[nodiscard]] std::vector<RuntimeRecord> restore_executions(const SafetensorsFile& shard, const std::string& linear,
                                                            const Json& description);

/// The keys that lowbit puts into a shard's metadata.
inline constexpr const char* kShardKey = "lowbit.key";
inline constexpr const char* kShardLinears = "lowbit.linears";
inline constexpr const char* kShardExecutions = "lowbit.executions";
/// The key of config.json under which lowbit's own layout keeps the base model's config.
inline constexpr const char* kBaseConfig = "base_config";
/// The key of lowbit's own `quantization_config` that says how keys and values are kept.
inline constexpr const char* kKvCache = "kv_cache";
/// Raised when what these mean changes; 2 added what acts while the model runs.
inline constexpr int kArtifactFormat = 2;

}  // namespace lowbit
