#include "lowbit/plugin/load.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/plugin/plugin.h"
#include "plugin/description.h"
#include "plugin/elf_section.h"

namespace lowbit {
namespace {

// Keys of a step's map and entries that no module may take the place of.
constexpr std::string_view kReserved[] = {"driver", "layers", "except", "overrides", "artifact", "sweep"};

// Calls `visit` with every registry; the names of all are one set, since recipes and `lowbit describe` ask by name.
template <typename Visit>
void each_registry(Registries& registries, Visit visit) {
  QuantizationRegistries& steps = registries.quantization;
  visit(steps.solvers);
  visit(steps.block_steps);
  visit(steps.model_transforms);
  visit(steps.execution_steps);
  visit(steps.kv_cache_steps);
  visit(steps.model_steps);
  visit(registries.evaluations);
}

PluginEntry open_library(const std::filesystem::path& file, const std::string& origin) {
  // RTLD_NODELETE: objects that hold its code may outlive any handle.
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* reason = ::dlerror();
    fail(ErrorCode::kPlugin, "{}: it cannot be loaded: {}", origin, reason == nullptr ? "no reason given" : reason);
  }
  void* entry = ::dlsym(library, kPluginEntry);
  if (entry == nullptr) {
    fail(ErrorCode::kPlugin, "{}: it describes itself as a plugin, but has no entry point '{}'; LOWBIT_PLUGIN makes it",
         origin, kPluginEntry);
  }
  return reinterpret_cast<PluginEntry>(entry);
}

void run_entry(PluginEntry entry, Registries& registries, const std::string& origin) {
  std::array<char, 1024> message{};
  if (entry(&registries, message.data(), message.size()) == 0) return;
  message.back() = '\0';
  fail(ErrorCode::kPlugin, "{}: it cannot register its modules: {}", origin, message.data());
}

void check_names(Registries& registries, const ModuleOrigin& plugin, const std::string& origin) {
  std::set<std::string, std::less<>> others(std::begin(kReserved), std::end(kReserved));
  std::vector<std::string> own;
  each_registry(registries, [&](const auto& registry) {
    for (const ModuleInfo& module : registry.modules()) {
      if (module.origin == plugin) {
        own.push_back(module.name);
      } else {
        others.insert(module.name);
      }
    }
  });
  if (own.empty()) fail(ErrorCode::kPlugin, "{}: it registers no module", origin);
  for (const std::string& name : own) {
    if (!is_module_name(name)) {
      fail(ErrorCode::kPlugin, "{}: it registers '{}', expected lower-case letters, digits, '_' and '-'", origin, name);
    }
    if (!others.insert(name).second)
      fail(ErrorCode::kPlugin, "{}: it registers '{}', a name that is taken already", origin, name);
  }
}

}  // namespace

void load_plugin(const std::filesystem::path& file, Registries& registries) {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::canonical(file, error);
  const std::string origin = fmt::format("plugin file '{}'", file.string());
  if (error) fail(ErrorCode::kPlugin, "{}: {}", origin, error.message());
  if (!std::filesystem::is_regular_file(path, error)) fail(ErrorCode::kPlugin, "{}: not a file", origin);
  const std::shared_ptr<const MappedFile> content = MappedFile::open(path);
  const std::string_view text = elf_section(content->bytes(), kPluginSection, origin);
  if (text.empty()) {
    fail(ErrorCode::kPlugin,
         "{}: a shared library, but no lowbit plugin: it has no section '{}', which LOWBIT_PLUGIN makes", origin,
         kPluginSection);
  }
  const PluginDescription description = check_description(text, LOWBIT_PLUGIN_BUILD, origin);
  const ModuleOrigin plugin{description.name, description.version, hash_of(content->bytes())};
  for (const ModuleOrigin& loaded : registries.plugins) {
    if (loaded == plugin) return;
    if (loaded.plugin == plugin.plugin) {
      fail(ErrorCode::kPlugin, "{}: another plugin '{}' {} is loaded already; give one of them", origin, loaded.plugin,
           loaded.version);
    }
  }
  // Into a copy, so that a plugin that fails half-way leaves nothing behind.
  Registries extended = registries;
  each_registry(extended, [&](auto& registry) { registry.set_origin(plugin); });
  run_entry(open_library(path, origin), extended, origin);
  check_names(extended, plugin, origin);
  each_registry(extended, [](auto& registry) { registry.set_origin({}); });
  extended.plugins = registries.plugins;
  extended.plugins.push_back(plugin);
  registries = std::move(extended);
}

}  // namespace lowbit
