#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"

namespace lowbit LOWBIT_EXPORT {

/// Where a registered module comes from: lowbit itself, or a plugin.
struct ModuleOrigin {
  std::string plugin;   ///< its name; empty: built in
  std::string version;  ///< of the plugin, as its author numbers it
  Hash hash;            ///< of the plugin's file: what it makes is kept under another key when it changes
  [[nodiscard]] bool built_in() const { return plugin.empty(); }
  /// Itself if it is a plugin, else nothing.
  [[nodiscard]] std::vector<ModuleOrigin> plugins() const;
  /// "<before>plugin 'x' 0.1.0", or nothing for what is built in.
  [[nodiscard]] std::string text(std::string_view before = "") const;
  friend bool operator==(const ModuleOrigin&, const ModuleOrigin&) = default;
};

/// Runs `action`, which calls modules of these plugins. What it throws that is neither an `Error` nor `std::bad_alloc`
/// becomes `kPlugin`, naming the plugins; without any plugin it passes unchanged.
void blame_plugins(const std::vector<ModuleOrigin>& plugins, const std::function<void()>& action);

}  // namespace lowbit
