#pragma once

#include <string>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// What LibTorch's products run on: "AVX512", "AVX2", "DEFAULT". Part of every key: another level gives other bits.
[[nodiscard]] std::string cpu_capability();
/// "2.11.0"
[[nodiscard]] std::string torch_version();

}  // namespace lowbit
