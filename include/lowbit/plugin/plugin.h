#pragma once

#include <torch/version.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>

#include "lowbit/experiment/experiment.h"
#include "lowbit/plugin/interface.h"

// For authors of plugins. A plugin is a shared library with one line that says what it is and what it adds:
//
//   void add_modules(lowbit::Registries& registries) {
//     registries.quantization.solvers.add<MyOptions>("my_solver", "one sentence", "paper", [](const MyOptions& options)
//     {
//       return std::make_unique<MySolver>(options); });
//   }
//   LOWBIT_PLUGIN("my_plugin", "0.1.0", add_modules)
//
// The macro puts a description of the build into a section of the file, which lowbit reads and checks before any code
// of the plugin runs, and defines the C function that lowbit then calls. Objects that a plugin has made are used until
// the program ends, so a plugin is never unloaded.

#define LOWBIT_PLUGIN_TEXT_(value) #value
#define LOWBIT_PLUGIN_TEXT(value) LOWBIT_PLUGIN_TEXT_(value)

#if defined(__clang__)
#define LOWBIT_PLUGIN_COMPILER "Clang " LOWBIT_PLUGIN_TEXT(__clang_major__)
#elif defined(__GNUC__)
#define LOWBIT_PLUGIN_COMPILER "GCC " LOWBIT_PLUGIN_TEXT(__GNUC__)
#else
#define LOWBIT_PLUGIN_COMPILER "unknown"
#endif

#if defined(_LIBCPP_VERSION)
#define LOWBIT_PLUGIN_LIBRARY "libc++, ABI " LOWBIT_PLUGIN_TEXT(_LIBCPP_ABI_VERSION)
#elif defined(_GLIBCXX_DEBUG)
#define LOWBIT_PLUGIN_LIBRARY "libstdc++ with _GLIBCXX_DEBUG"
#else
#define LOWBIT_PLUGIN_LIBRARY "libstdc++, CXX11 ABI " LOWBIT_PLUGIN_TEXT(_GLIBCXX_USE_CXX11_ABI)
#endif

/// What must be equal on both sides, a line each; after "name" and "version".
#define LOWBIT_PLUGIN_BUILD                                                                                       \
  "lowbit: " LOWBIT_INTERFACE_VERSION "\ninterface: " LOWBIT_INTERFACE_HASH "\ncompiler: " LOWBIT_PLUGIN_COMPILER \
  "\nlibrary: " LOWBIT_PLUGIN_LIBRARY "\ntorch: " TORCH_VERSION "\n"

namespace lowbit {

/// The name of the section, and of the entry point whose C signature never changes: a later one gets another number.
inline constexpr const char* kPluginSection = ".lowbit.plugin";
inline constexpr const char* kPluginEntry = "lowbit_plugin_register_1";
/// Registers into `*registries`, a `lowbit::Registries`; 0, or 1 with the reason in `message`, cut to `size` bytes and
/// ended by a zero. Throws nothing.
using PluginEntry = int (*)(void* registries, char* message, std::size_t size);

/// What `LOWBIT_PLUGIN` makes the entry point of.
template <typename Register>
int run_plugin_entry(Register register_modules, void* registries, char* message, std::size_t size) noexcept {
  const auto refuse = [&](const char* reason) {
    if (size == 0) return 1;
    const std::size_t length = std::min(std::strlen(reason), size - 1);
    std::memcpy(message, reason, length);
    message[length] = '\0';
    return 1;
  };
  try {
    register_modules(*static_cast<Registries*>(registries));
    return 0;
  } catch (const std::exception& error) {
    return refuse(error.what());
  } catch (...) {
    return refuse("it threw something that is no std::exception");
  }
}

}  // namespace lowbit

/// Once in a plugin, outside any namespace. `name` and `version` are string literals: `name` in lower case, digits and
/// '_' or '-', beginning with a letter; `register_modules` is callable with a `lowbit::Registries&`.
#define LOWBIT_PLUGIN(name, version, register_modules)                                                             \
  extern "C" {                                                                                                     \
  extern __attribute__((visibility("default"), section(".lowbit.plugin"))) const char lowbit_plugin_description[]; \
  __attribute__((used)) const char lowbit_plugin_description[] =                                                   \
      "lowbit-plugin 1\nname: " name "\nversion: " version "\n" LOWBIT_PLUGIN_BUILD;                               \
  __attribute__((visibility("default"))) int lowbit_plugin_register_1(void* registries, char* message,             \
                                                                      std::size_t size) {                          \
    return ::lowbit::run_plugin_entry(register_modules, registries, message, size);                                \
  }                                                                                                                \
  }
