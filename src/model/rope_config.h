#pragma once

#include "lowbit/model/architecture.h"
#include "model/config_keys.h"

namespace lowbit {

/// Sets `rope_theta` and `rope_scaling` from a config.json in any of its spellings: `rope_theta` beside `rope_scaling`
/// {"type" or "rope_type": ...}, or both inside `rope_parameters`. `context` must be set. Throws `kData`, and
/// `kUnsupported` for an unknown kind.
void read_rope(const ConfigKeys& config, Architecture& architecture);

/// The same as one `rope_parameters` object; `kPerDimension` is a kind of lowbit's own, {"rope_type": "divisors"}.
[[nodiscard]] Json rope_parameters_of(const Architecture& architecture);

}  // namespace lowbit
