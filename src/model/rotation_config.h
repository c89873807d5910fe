#pragma once

#include "lowbit/model/architecture.h"
#include "model/config_keys.h"

namespace lowbit {

/// The key of config.json that holds the rotations which run inside a block; only lowbit knows it.
inline constexpr const char* kRotations = "lowbit_rotations";

/// Sets the rotations from {"down_input": {"core", "core_order", "seed", "random_signs"}, "queries_keys": {...}}; the
/// sizes must be set. Throws `kData`.
void read_rotations(const ConfigKeys& config, Architecture& architecture);
/// The same as JSON; an empty object when there are none.
[[nodiscard]] Json rotations_of(const Architecture& architecture);

}  // namespace lowbit
