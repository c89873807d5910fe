#pragma once

#include <span>
#include <string>
#include <string_view>

#include "data/columnar_abi.h"

namespace lowbit::columnar {

/// The table of the first library in `places` that can be loaded; a name without a slash is looked for as the dynamic
/// linker does. `origin` is the file that needs it. Throws `kUnsupported` with the remedy.
[[nodiscard]] const Table& load_table(std::span<const std::string> places, std::string_view origin);

}  // namespace lowbit::columnar
