#include <cstdlib>
#include <string>
#include <system_error>

#include "lowbit/base/error.h"
#include "lowbit/config/fields.h"
#include "lowbit/plugin/load.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

struct UserConfig {
  std::vector<std::string> plugins;
  void visit(FieldVisitor& v) {
    v.field("plugins", plugins, "libraries to load in every command, relative to this file's folder");
  }
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Empty: none.
fs::path user_config_file() {
  if (const std::string named = variable("LOWBIT_CONFIG"); !named.empty()) return named;
  fs::path folder = variable("XDG_CONFIG_HOME");
  if (!folder.is_absolute()) {
    const std::string home = variable("HOME");
    if (home.empty()) return {};
    folder = fs::path(home) / ".config";
  }
  const fs::path file = folder / "lowbit" / "config.yaml";
  std::error_code error;
  return fs::exists(file, error) ? file : fs::path();
}

}  // namespace

std::vector<fs::path> user_plugins() {
  const fs::path file = user_config_file();
  if (file.empty()) return {};
  ConfigProblems problems;
  UserConfig config;
  decode_fields(ConfigNode::load(file), config, problems);
  problems.throw_if_any();
  std::vector<fs::path> plugins;
  for (const std::string& plugin : config.plugins) plugins.push_back(file.parent_path() / plugin);
  return plugins;
}

}  // namespace lowbit
