#include <fmt/format.h>

#include <memory>

#include "session.h"

namespace lowbit::cli {

void add_check(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("check", "Check an experiment file without reading any weight");
  struct Arguments {
    std::string file;
    std::vector<std::string> overrides;
    bool resolved = false;
  };
  auto arguments = std::make_shared<Arguments>();
  command->add_option("file", arguments->file, "Experiment file (YAML)")->required();
  command->add_option("--set", arguments->overrides, "Override a value: a.b=c");
  command->add_flag("--resolved", arguments->resolved, "Print the config with every default filled in");
  session.add_compute_options(*command);
  command->callback([arguments, &session] {
    session.command = [arguments, &session] {
      session.start();
      const Experiment experiment =
          load_experiment(arguments->file, arguments->overrides, session.registries(), session.resources());
      if (arguments->resolved) {
        fmt::print("{}", experiment.resolved.to_yaml());
      } else {
        fmt::print("{}: good; {}, {}, {}, {}, {}\n", arguments->file, count_of(experiment.models.size(), "model"),
                   count_of(experiment.calibrations.size(), "calibration set"),
                   count_of(experiment.recipes.size(), "recipe"), count_of(experiment.evaluations.size(), "evaluation"),
                   count_of(experiment.seeds.size(), "seed"));
      }
      return 0;
    };
  });
}

}  // namespace lowbit::cli
