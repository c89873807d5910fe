#include <fmt/format.h>

#include <memory>

#include "modules.h"
#include "session.h"

namespace lowbit::cli {
namespace {

void print_module(const std::string& family, const ModuleInfo& module) {
  fmt::print("{} ({}): {}\n", module.name, family, module.summary);
  if (!module.origin.built_in()) fmt::print("from: {} ({})\n", module.origin.text(), module.origin.hash.hex());
  if (!module.citation.empty()) fmt::print("source: {}\n", module.citation);
  if (module.fields.empty()) fmt::print("\nno options\n");
  for (const FieldDescription& field : module.fields) {
    fmt::print("\n  {}: {}{}\n      {}\n", field.name, field.type,
               field.required ? ", required" : fmt::format(", default {}", field.default_value), field.help);
  }
}

int describe(const Session& session, const std::string& name) {
  session.start();
  const Registries registries = session.registries();
  std::vector<std::string> names;
  for (const ModuleFamily& family : module_families(registries)) {
    for (const ModuleInfo& module : family.modules) {
      if (module.name == name) {
        print_module(family.family, module);
        return 0;
      }
      names.push_back(module.name);
    }
  }
  fail(ErrorCode::kConfig, "nothing is registered as '{}'{}", name, suggestion(name, names));
}

}  // namespace

void add_describe(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("describe", "Show a module's options, their defaults and meaning");
  auto name = std::make_shared<std::string>();
  command->add_option("name", *name, "Registered name, as 'lowbit list' shows it")->required();
  command->callback([name, &session] { session.command = [name, &session] { return describe(session, *name); }; });
}

}  // namespace lowbit::cli
