#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

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

// The parts of the largest peak, largest first.
void print_peak(const WorkItem& item) {
  std::vector<std::pair<std::string, std::int64_t>> terms = item.peak.terms;
  std::stable_sort(terms.begin(), terms.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (const auto& [what, size] : terms) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", bytes(size), what);
  fmt::print("The most memory is held in '{}', {}: {}\n", item.title, item.peak.phase, text);
}

std::string where(const WorkItem& item) {
  if (item.kind == WorkItem::Kind::kEvaluate) return item.placement.streamed ? ", streamed" : "";
  if (item.placement.spill_streams) return ", streams in a file";
  return item.placement.held_bytes == 0 ? ", states computed again" : "";
}

int show_plan(const Session& session, const std::string& file, const std::vector<std::string>& overrides) {
  session.start();
  const Resources resources = session.resources();
  const Experiment experiment = load_experiment(file, overrides, session.registries(), resources);
  const Plan plan = make_plan(experiment, resources);
  double seconds = 0;
  std::int64_t memory = 0, disk = 0;
  const WorkItem* largest = nullptr;
  std::size_t open = 0;
  fmt::print("{:>9}  {:>10}  {:>10}  {:>10}  {}\n", "tokens", "time", "memory", "disk", "work");
  for (const WorkItem& item : plan.items) {
    fmt::print("{:>9}  {:>10}  {:>10}  {:>10}  {}\n", item.tokens,
               item.done ? "done" : duration(item.estimated_seconds), bytes(item.estimated_memory),
               bytes(item.estimated_disk), item.title + where(item));
    if (item.done) continue;
    if (largest == nullptr || item.estimated_memory > largest->estimated_memory) largest = &item;
    ++open;
    seconds += item.estimated_seconds;
    memory = std::max(memory, item.estimated_memory);
    disk += item.estimated_disk;
  }
  fmt::print("\n{} from {} of work, {} to do: about {}, {} of memory at the peak, {} of disk in '{}'\n",
             count_of(plan.cells.size(), "cell"), count_of(plan.items.size(), "piece"), open, duration(seconds),
             bytes(memory), bytes(disk), experiment.store.string());
  if (largest != nullptr) print_peak(*largest);
  for (const CalibrationOverlap& overlap : plan.overlaps) fmt::print("{}\n", overlap.text());
  fmt::print(
      "Memory is an estimate (seen to be off by up to 15 %, either way). Time is a rough estimate from the "
      "products measured here, for an idle machine");
  fmt::print("{}\n", plan.busy < 1.3
                         ? "."
                         : fmt::format("; it is busy now, which makes it about {:.1f} times as long.", plan.busy));
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
