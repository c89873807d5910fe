#pragma once

#include <filesystem>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/experiment/experiment.h"

namespace lowbit LOWBIT_EXPORT {

/// Adds the modules of a plugin, a shared library made with lowbit/plugin/plugin.h. The file's form and its description
/// (lowbit's version and interface, compiler, standard library, LibTorch) are checked before any of its code runs. A
/// file that was loaded already is passed over. The library stays loaded until the process ends.
///
///   Registries registries = builtin_registries();
///   load_plugin("libmy_quantizer.so", registries);
///
/// Throws `kPlugin`, naming the file and the remedy; `registries` is unchanged then.
void load_plugin(const std::filesystem::path& file, Registries& registries);

/// The `plugins:` of the user's config file: $LOWBIT_CONFIG, else $XDG_CONFIG_HOME/lowbit/config.yaml, else
/// ~/.config/lowbit/config.yaml; paths in it are relative to its folder. Nothing when there is no such file. Throws
/// `kConfig` when it is wrong, or when $LOWBIT_CONFIG names a file that is missing.
[[nodiscard]] std::vector<std::filesystem::path> user_plugins();

}  // namespace lowbit
