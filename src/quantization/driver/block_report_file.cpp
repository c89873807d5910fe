#include "quantization/driver/block_report_file.h"

#include <fmt/format.h>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/base/work_folder.h"
#include "lowbit/tensor/environment.h"

namespace lowbit {
namespace {

std::filesystem::path file_of(const std::filesystem::path& folder, std::int64_t block) {
  return folder / "solving" / fmt::format("block-{:05}.json", block);
}

Json json_of(const LayerReport& layer) {
  return {{"layer", layer.layer},
          {"grid", layer.grid},
          {"weight_error", layer.weight_error},
          {"output_error", layer.output_error},
          {"nearest_output_error", layer.nearest_output_error}};
}

Json json_of(const SolverEvent& event) {
  return {{"layer", event.layer}, {"what", event.what}, {"value", event.value}};
}

template <typename Item>
Json json_list(const std::vector<Item>& items) {
  Json list = Json::array();
  for (const Item& item : items) list.push_back(json_of(item));
  return list;
}

BlockReport report_of(const Json& json) {
  BlockReport report;
  for (const Json& item : json.at("layers")) {
    LayerReport layer;
    layer.layer = item.at("layer").get<std::string>();
    layer.grid = item.at("grid").get<std::string>();
    layer.weight_error = item.at("weight_error").get<double>();
    layer.output_error = item.at("output_error").get<double>();
    layer.nearest_output_error = item.at("nearest_output_error").get<double>();
    layer.seconds = item.at("seconds").get<double>();
    report.layers.push_back(std::move(layer));
  }
  for (const Json& item : json.at("events")) {
    report.events.push_back(
        {item.at("layer").get<std::string>(), item.at("what").get<std::string>(), item.at("value").get<double>()});
  }
  return report;
}

}  // namespace

void write_block_report(const std::filesystem::path& folder, std::int64_t block, const BlockReport& report) {
  Json layers = json_list(report.layers);
  for (std::size_t i = 0; i < report.layers.size(); ++i) layers[i]["seconds"] = report.layers[i].seconds;
  const std::filesystem::path file = file_of(folder, block);
  make_folders(file.parent_path());
  remove_abandoned_writes(file.parent_path());
  write_file_atomically(file, Json{{"layers", layers}, {"events", json_list(report.events)}}.dump(2) + "\n");
}

BlockReport read_block_report(const std::filesystem::path& folder, std::int64_t block) {
  const std::filesystem::path file = file_of(folder, block);
  const Json json = parse_json(read_file(file), file.string());
  try {
    return report_of(json);
  } catch (const Json::exception& error) {
    fail(ErrorCode::kData, "{}: not a report of a solved block ({}); remove the folder and start again", file.string(),
         error.what());
  }
}

std::string describe_artifact(const QuantizeRequest& request, const QuantizeReport& report) {
  Json json;
  json["recipe"] = request.recipe->name();
  json["steps"] = request.recipe->resolved().to_yaml();
  json["recipe_hash"] = request.recipe->hash().hex();
  json["model_hash"] = request.model->weights().fingerprint().hex();
  json["seed"] = request.seed;
  json["cpu"] = cpu_capability();
  json["torch"] = torch_version();
  if (request.recipe->needs_calibration()) {
    json["calibration"] = {{"name", request.calibration->options.name},
                           {"hash", request.calibration->hash.hex()},
                           {"seed", request.calibration->seed},
                           {"sequences", request.calibration->sequences.size()},
                           {"tokens", request.calibration->tokens()}};
  }
  json["layers"] = json_list(report.layers);
  json["events"] = json_list(report.events);
  return json.dump();
}

}  // namespace lowbit
