#include "model/rotation_config.h"

#include <limits>

namespace lowbit {
namespace {

constexpr const char* kQueriesKeys = "queries_keys";
constexpr const char* kDownInput = "down_input";

std::optional<RotationSpec> read_rotation(const ConfigKeys& rotations, const char* key) {
  const Json* value = rotations.find(key);
  if (value == nullptr) return std::nullopt;
  const ConfigKeys keys(*value, rotations.origin() + ": " + key);
  const std::string name = keys.string("core").value_or("");
  const std::optional<RotationCore> core = rotation_core_named(name);
  if (!core) {
    fail(ErrorCode::kData, "{}: 'core' is '{}', expected none, paley1, paley2 or orthonormal", keys.origin(), name);
  }
  const std::int64_t seed = keys.integer("seed").value_or(0);
  if (seed < 0) fail(ErrorCode::kData, "{}: 'seed' is {}, expected at least 0", keys.origin(), seed);
  return RotationSpec{*core, keys.required_integer("core_order"), static_cast<std::uint64_t>(seed),
                      keys.boolean("random_signs").value_or(false)};
}

Json json_of(const RotationSpec& spec) {
  return {{"core", rotation_core_name(spec.core)},
          {"core_order", spec.core_order},
          {"seed", spec.seed},
          {"random_signs", spec.random_signs}};
}

}  // namespace

void read_rotations(const ConfigKeys& config, Architecture& architecture) {
  const Json* rotations = config.find(kRotations);
  if (rotations == nullptr) return;
  const ConfigKeys keys(*rotations, config.origin() + ": " + kRotations);
  architecture.query_key_rotation = read_rotation(keys, kQueriesKeys);
  architecture.down_input_rotation = read_rotation(keys, kDownInput);
}

Json rotations_of(const Architecture& architecture) {
  Json json = Json::object();
  if (architecture.query_key_rotation) json[kQueriesKeys] = json_of(*architecture.query_key_rotation);
  if (architecture.down_input_rotation) json[kDownInput] = json_of(*architecture.down_input_rotation);
  return json;
}

}  // namespace lowbit
