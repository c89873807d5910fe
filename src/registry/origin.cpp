#include "lowbit/registry/origin.h"

#include <fmt/format.h>

#include <exception>
#include <new>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

std::string names_of(const std::vector<ModuleOrigin>& plugins) {
  std::string names;
  for (const ModuleOrigin& plugin : plugins) names += plugin.text(names.empty() ? "" : ", ");
  return names;
}

}  // namespace

std::vector<ModuleOrigin> ModuleOrigin::plugins() const {
  return built_in() ? std::vector<ModuleOrigin>() : std::vector<ModuleOrigin>{*this};
}

std::string ModuleOrigin::text(std::string_view before) const {
  return built_in() ? "" : fmt::format("{}plugin '{}' {}", before, plugin, version);
}

void blame_plugins(const std::vector<ModuleOrigin>& plugins, const std::function<void()>& action) {
  if (plugins.empty()) return action();
  try {
    action();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    const std::string_view what = error.what();
    fail(ErrorCode::kPlugin, "an unexpected exception while {} was at work: {}", names_of(plugins),
         what.substr(0, what.find('\n')));
  } catch (...) {
    fail(ErrorCode::kPlugin, "something that is no std::exception was thrown while {} was at work", names_of(plugins));
  }
}

}  // namespace lowbit
