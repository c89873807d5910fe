#pragma once

#include <string>
#include <string_view>

namespace lowbit {

/// What a plugin says of itself.
struct PluginDescription {
  std::string name;
  std::string version;
};

/// Reads the text that `LOWBIT_PLUGIN` has put into a plugin and holds it to `own`, this lowbit's
/// `LOWBIT_PLUGIN_BUILD`. Throws `kPlugin` as "<origin>: ..." with the first thing that differs, both values and the
/// remedy.
[[nodiscard]] PluginDescription check_description(std::string_view text, std::string_view own, std::string_view origin);

/// Lower-case letters, digits, '_' and '-', beginning with a letter.
[[nodiscard]] bool is_module_name(std::string_view name);

}  // namespace lowbit
