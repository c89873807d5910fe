#include "experiment/run_folder.h"

#include "experiment/result_json.h"
#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"

namespace lowbit {
namespace {

constexpr int kPlanFileVersion = 5;

Json item_json(const WorkItem& item) {
  return {{"kind", item.kind == WorkItem::Kind::kQuantize ? "quantize" : "evaluate"},
          {"key", item.key},
          {"title", item.title},
          {"model", item.model},
          {"recipe", item.recipe},
          {"calibration", item.calibration},
          {"evaluation", item.evaluation},
          {"seed", item.seed},
          {"artifact", item.artifact_key},
          {"reference", item.reference_key},
          {"tokens", item.tokens},
          {"estimated_seconds", item.estimated_seconds},
          {"estimated_memory_bytes", item.estimated_memory},
          {"estimated_disk_bytes", item.estimated_disk},
          {"streamed", item.placement.streamed},
          {"wave_tokens", item.placement.wave_tokens},
          {"held_bytes", item.placement.held_bytes},
          {"shares_statistics", item.shares_statistics},
          {"spill_streams", item.placement.spill_streams}};
}

WorkItem read_item(const Json& json) {
  WorkItem item;
  item.kind = json.at("kind").get<std::string>() == "quantize" ? WorkItem::Kind::kQuantize : WorkItem::Kind::kEvaluate;
  item.key = json.at("key").get<std::string>();
  item.title = json.at("title").get<std::string>();
  item.model = json.at("model").get<int>();
  item.recipe = json.at("recipe").get<int>();
  item.calibration = json.at("calibration").get<int>();
  item.evaluation = json.at("evaluation").get<int>();
  item.seed = json.at("seed").get<std::int64_t>();
  item.artifact_key = json.at("artifact").get<std::string>();
  item.reference_key = json.at("reference").get<std::string>();
  item.tokens = json.at("tokens").get<std::int64_t>();
  item.estimated_seconds = json.at("estimated_seconds").get<double>();
  item.estimated_memory = json.at("estimated_memory_bytes").get<std::int64_t>();
  item.estimated_disk = json.at("estimated_disk_bytes").get<std::int64_t>();
  item.shares_statistics = json.at("shares_statistics").get<bool>();
  item.placement = {json.at("streamed").get<bool>(), json.at("wave_tokens").get<std::int64_t>(),
                    json.at("held_bytes").get<std::int64_t>(), json.at("spill_streams").get<bool>()};
  return item;
}

CalibrationOverlap read_overlap(const Json& json) {
  return {.calibration = json.at("calibration").get<std::string>(),
          .dataset = json.at("dataset").get<std::string>(),
          .split = json.at("split").get<std::string>(),
          .evaluation = json.at("evaluation").get<std::string>(),
          .documents = json.at("documents").get<std::int64_t>(),
          .whole = json.at("whole").get<std::int64_t>(),
          .run = json.at("run").get<std::int64_t>(),
          .ngram = json.at("ngram").get<std::int64_t>(),
          .excluded = json.at("excluded").get<bool>()};
}

}  // namespace

void write_plan(const std::filesystem::path& file, const Plan& plan) {
  Json items = Json::array();
  for (const WorkItem& item : plan.items) items.push_back(item_json(item));
  Json cells = Json::array();
  for (const Cell& cell : plan.cells) {
    cells.push_back({{"model", cell.model},
                     {"recipe", cell.recipe},
                     {"calibration", cell.calibration},
                     {"evaluation", cell.evaluation},
                     {"seed", cell.seed},
                     {"item", cell.item},
                     {"artifact", cell.artifact}});
  }
  Json plugins = Json::array();
  for (const ModuleOrigin& plugin : plan.plugins) {
    plugins.push_back({{"name", plugin.plugin},
                       {"version", plugin.version},
                       {"hash_low", plugin.hash.low},
                       {"hash_high", plugin.hash.high}});
  }
  Json overlaps = Json::array();
  for (const CalibrationOverlap& overlap : plan.overlaps) overlaps.push_back(overlap_json(overlap));
  const Json json = {{"version", kPlanFileVersion},
                     {"overlaps", std::move(overlaps)},
                     {"plugins", std::move(plugins)},
                     {"items", std::move(items)},
                     {"cells", std::move(cells)}};
  write_file_atomically(file, json.dump(1) + "\n");
}

Plan read_plan(const std::filesystem::path& file) {
  const Json json = parse_json(read_file(file), file.string());
  try {
    if (json.at("version").get<int>() != kPlanFileVersion)
      fail(ErrorCode::kData, "'{}' was written by another version of lowbit; run the experiment again", file.string());
    Plan plan;
    for (const Json& item : json.at("items")) plan.items.push_back(read_item(item));
    for (const Json& cell : json.at("cells")) {
      plan.cells.push_back({cell.at("model").get<int>(), cell.at("recipe").get<int>(),
                            cell.at("calibration").get<int>(), cell.at("evaluation").get<int>(),
                            cell.at("seed").get<std::int64_t>(), cell.at("item").get<std::string>(),
                            cell.at("artifact").get<std::string>()});
    }
    for (const Json& overlap : json.at("overlaps")) plan.overlaps.push_back(read_overlap(overlap));
    for (const Json& plugin : json.at("plugins")) {
      plan.plugins.push_back(
          {plugin.at("name").get<std::string>(),
           plugin.at("version").get<std::string>(),
           {plugin.at("hash_low").get<std::uint64_t>(), plugin.at("hash_high").get<std::uint64_t>()}});
    }
    return plan;
  } catch (const Json::exception& problem) {
    fail(ErrorCode::kData, "'{}' is not a plan of lowbit: {}", file.string(), problem.what());
  }
}

void write_failure(const std::filesystem::path& file, const Failure& failure) {
  make_folders(file.parent_path());
  write_file_atomically(file, Json({{"exit_code", failure.exit_code}, {"message", failure.message}}).dump(1) + "\n");
}

std::optional<Failure> read_failure(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return std::nullopt;
  const Json json = parse_json(read_file(file), file.string());
  try {
    return Failure{json.at("exit_code").get<int>(), json.at("message").get<std::string>()};
  } catch (const Json::exception&) {
    return Failure{70, "the record of the failure is damaged"};
  }
}

}  // namespace lowbit
