#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/experiment/executor.h"
#include "lowbit/report/report.h"
#include "session.h"

namespace lowbit::cli {
namespace {

struct RunArguments {
  std::string file;
  std::vector<std::string> overrides;
  std::string output;
  std::string exported;
};

void export_lm_eval(const Results& results, const std::filesystem::path& folder) {
  make_folders(folder);
  for (const auto& [name, json] : lm_eval_results(results)) write_file_atomically(folder / name, json);
}

int run(const Session& session, const RunArguments& arguments) {
  session.start();
  const Resources resources = session.resources();
  std::vector<std::string> overrides = arguments.overrides;
  if (!arguments.output.empty()) overrides.push_back("output=" + arguments.output);
  const Experiment experiment = load_experiment(arguments.file, overrides, session.registries(), resources);
  RunOptions options;
  options.program = session.program;
  options.worker_arguments = session.child_arguments();
  if (!session.quiet) options.announce = [](const std::string& line) { std::fputs((line + "\n").c_str(), stderr); };
  const Results results = run_experiment(experiment, resources, options, *session.cancellation);
  const std::filesystem::path report = experiment.output / "report.md";
  write_file_atomically(report, markdown_report(results));
  if (arguments.exported == "lm-eval") export_lm_eval(results, experiment.output / "lm-eval");
  fmt::print("{}", terminal_table(results, use_color()));
  fmt::print("\nreport:  {}\nresults: {}\n", report.string(), (experiment.output / "results.json").string());
  return results.failed() ? exit_code(ErrorCode::kCellFailed) : 0;
}

}  // namespace

void add_run(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("run", "Run an experiment file and print its table");
  auto arguments = std::make_shared<RunArguments>();
  command->add_option("file", arguments->file, "Experiment file (YAML)")->required();
  command->add_option("--set", arguments->overrides,
                      "Override a value: a.b=c, list items by number (recipes.gptq.0.gptq.bits=3)");
  command->add_option("-o,--output", arguments->output, "Folder of the run (default: runs/<name>)");
  command
      ->add_option(
          "--export", arguments->exported,
          "Write the results once more, into lm-eval/ of the run's folder, as EleutherAI's harness writes them")
      ->check(CLI::IsMember({"lm-eval"}));
  session.add_compute_options(*command);
  command->footer(
      "Finished work is kept by content in the store, so a second run does only what is new; an interrupted run "
      "continues.");
  command->callback(
      [arguments, &session] { session.command = [arguments, &session] { return run(session, *arguments); }; });
}

}  // namespace lowbit::cli
