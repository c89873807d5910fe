#include <fmt/format.h>

#include <memory>

#include "lowbit/base/files.h"
#include "lowbit/experiment/plan.h"
#include "session.h"

namespace lowbit::cli {
namespace {

std::string duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  return whole < 120    ? fmt::format("{} s", whole)
         : whole < 7200 ? fmt::format("{} min", (whole + 30) / 60)
                        : fmt::format("{:.1f} h", seconds / 3600);
}

std::string bytes(std::int64_t count) { return format_bytes(static_cast<std::uint64_t>(count)); }

int show_plan(const Session& session, const std::string& file, const std::vector<std::string>& overrides) {
  session.start();
  const Resources resources = session.resources();
  const Experiment experiment = load_experiment(file, overrides, session.registries(), resources);
  const Plan plan = make_plan(experiment, resources);
  double seconds = 0;
  std::int64_t memory = 0, disk = 0;
  std::size_t open = 0;
  fmt::print("{:>9}  {:>10}  {:>10}  {:>10}  {}\n", "tokens", "time", "memory", "disk", "work");
  for (const WorkItem& item : plan.items) {
    fmt::print("{:>9}  {:>10}  {:>10}  {:>10}  {}\n", item.tokens,
               item.done ? "done" : duration(item.estimated_seconds), bytes(item.estimated_memory),
               bytes(item.estimated_disk), item.title);
    if (item.done) continue;
    ++open;
    seconds += item.estimated_seconds;
    memory = std::max(memory, item.estimated_memory);
    disk += item.estimated_disk;
  }
  fmt::print("\n{} cells from {} pieces of work, {} to do: about {}, {} of memory at the peak, {} of disk in '{}'\n",
             plan.cells.size(), plan.items.size(), open, duration(seconds), bytes(memory), bytes(disk),
             experiment.store.string());
  return 0;
}

}  // namespace

void add_plan(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("plan", "Show what a run would do: work, estimated time, memory and disk");
  struct Arguments {
    std::string file;
    std::vector<std::string> overrides;
  };
  auto arguments = std::make_shared<Arguments>();
  command->add_option("file", arguments->file, "Experiment file (YAML)")->required();
  command->add_option("--set", arguments->overrides, "Override a value: a.b=c");
  session.add_compute_options(*command);
  command->callback([arguments, &session] {
    session.command = [arguments, &session] { return show_plan(session, arguments->file, arguments->overrides); };
  });
}

}  // namespace lowbit::cli
