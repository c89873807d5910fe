#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/json.h"
#include "lowbit/containers/safetensors.h"
#include "lowbit/model/weight_source.h"

namespace lowbit {

/// A folder whose config.json has a `quantization_config`: compressed-tensors' pack-quantized format, by whomever it
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

/// The keys that lowbit puts into a shard's metadata.
inline constexpr const char* kShardKey = "lowbit.key";
inline constexpr const char* kShardLinears = "lowbit.linears";
/// The key of config.json under which lowbit's own layout keeps the base model's config.
inline constexpr const char* kBaseConfig = "base_config";
/// Raised when what these mean changes.
inline constexpr int kArtifactFormat = 1;

}  // namespace lowbit
