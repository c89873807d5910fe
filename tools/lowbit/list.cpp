#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "lowbit/data/dataset.h"
#include "modules.h"
#include "session.h"

namespace lowbit::cli {
namespace {

void print_datasets(const Resources& resources) {
  const DatasetCatalog catalog(resources.dataset_folders(), resources.data_folders);
  std::size_t width = 18;
  for (const DatasetDefinition& definition : catalog.all()) width = std::max(width, definition.name.size());
  fmt::print("dataset\n");
  for (const DatasetDefinition& definition : catalog.all()) {
    fmt::print("  {:<{}} {} ({}{}{})\n", definition.name, width, definition.summary, definition.language,
               definition.domain.empty() ? "" : ", ", definition.domain);
  }
}

int list(const Session& session, const std::string& family) {
  session.start();
  const Resources resources = session.resources();
  const Registries registries = session.registries();
  std::vector<std::string> families = {"dataset", "model"};
  for (const ModuleFamily& modules : module_families(registries)) {
    families.push_back(modules.family);
    if (modules.modules.empty() || (!family.empty() && family != modules.family)) continue;
    fmt::print("{}\n", modules.family);
    for (const ModuleInfo& module : modules.modules) {
      fmt::print("  {:<18} {}{}\n", module.name, module.summary,
                 module.origin.built_in() ? "" : fmt::format(" [{}]", module.origin.text()));
    }
  }
  if (family.empty() || family == "dataset") print_datasets(resources);
  if (family.empty() || family == "model") {
    fmt::print("model\n");
    for (const std::string& name : known_models(resources)) fmt::print("  {}\n", name);
  }
  if (!family.empty() && std::find(families.begin(), families.end(), family) == families.end()) {
    fail(ErrorCode::kConfig, "unknown family '{}'{}", family, suggestion(family, families));
  }
  return 0;
}

}  // namespace

std::vector<ModuleFamily> module_families(const Registries& registries) {
  const QuantizationRegistries& q = registries.quantization;
  return {{q.solvers.family(), q.solvers.modules()},
          {q.block_steps.family(), q.block_steps.modules()},
          {q.model_transforms.family(), q.model_transforms.modules()},
          {q.execution_steps.family(), q.execution_steps.modules()},
          {q.kv_cache_steps.family(), q.kv_cache_steps.modules()},
          {q.model_steps.family(), q.model_steps.modules()},
          {registries.evaluations.family(), registries.evaluations.modules()}};
}

void add_list(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("list", "List what can be named in an experiment file");
  auto family = std::make_shared<std::string>();
  command->add_option("family", *family, "solver, evaluation, dataset, model ...; everything by default");
  command->add_option("--data", session.data_folders, "Folder searched for dataset and model files");
  command->callback([family, &session] { session.command = [family, &session] { return list(session, *family); }; });
}

}  // namespace lowbit::cli
