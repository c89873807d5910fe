#include <fmt/format.h>

#include <memory>

#include "describe_recipe.h"
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

struct DescribeArguments {
  std::string name, recipe, model;
};

int describe(const Session& session, const DescribeArguments& arguments) {
  session.start();
  const std::string& name = arguments.name;
  if (name == "recipe" && arguments.recipe.empty()) {
    fail(ErrorCode::kConfig, "name the recipe: 'lowbit describe recipe configs/quickstart.yaml'");
  }
  if (name == "recipe") return describe_recipe(session, arguments.recipe, arguments.model);
  if (!arguments.recipe.empty()) {
    fail(ErrorCode::kConfig, "'{}' behind '{}' has no meaning; did you mean 'lowbit describe recipe {}'?",
         arguments.recipe, name, arguments.recipe);
  }
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
  CLI::App* command =
      app.add_subcommand("describe", "Show a module's options, or what the steps of a recipe do to which layers");
  auto arguments = std::make_shared<DescribeArguments>();
  command->add_option("name", arguments->name, "Registered name, as 'lowbit list' shows it, or 'recipe'")->required();
  command->add_option("recipe", arguments->recipe,
                      "With 'recipe': steps or an experiment, as YAML, a file, or a name in configs/");
  command->add_option("--model", arguments->model,
                      "Model whose layers are meant; by default the experiment's first one");
  command->callback(
      [arguments, &session] { session.command = [arguments, &session] { return describe(session, *arguments); }; });
}

}  // namespace lowbit::cli
