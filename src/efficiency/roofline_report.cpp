#include <fmt/format.h>

#include "efficiency/phase_parts.h"
#include "lowbit/base/json.h"
#include "lowbit/efficiency/roofline.h"

namespace lowbit {
namespace {

constexpr double kMega = 1e6;
constexpr double kGiga = 1e9;
constexpr double kMilli = 1e3;

Json parts_json(const std::vector<RooflinePart>& parts) {
  Json list = Json::array();
  for (const RooflinePart& part : parts) {
    Json entry = {{"name", part.name},
                  {"count", part.count},
                  {"arithmetic", part.arithmetic},
                  {"bytes", part.bytes},
                  {"operations", part.operations},
                  {"bound", part.memory_bound() ? "memory" : "units"},
                  {"predicted_seconds", part.predicted_seconds()}};
    if (part.measured_seconds) entry["measured_seconds"] = *part.measured_seconds;
    list.push_back(std::move(entry));
  }
  return list;
}

std::string parts_table(const std::vector<RooflinePart>& parts) {
  std::string text = fmt::format("{:<12} {:>5} {:<10} {:>9} {:>10} {:<7} {:>12} {:>12} {:>11}\n", "product", "times",
                                 "arithmetic", "MB", "Gop", "bound", "predicted ms", "measured ms", "of roofline");
  for (const RooflinePart& part : parts) {
    text += fmt::format("{:<12} {:>5} {:<10} {:>9.2f} {:>10.3f} {:<7} {:>12.3f}", part.name, part.count,
                        part.arithmetic, part.bytes / kMega, part.operations / kGiga,
                        part.memory_bound() ? "memory" : "units", kMilli * part.predicted_seconds());
    if (part.measured_seconds) {
      text += fmt::format(" {:>12.3f} {:>9.0f} %", kMilli * *part.measured_seconds,
                          100 * part.predicted_seconds() / *part.measured_seconds);
    }
    text += "\n";
  }
  return text + fmt::format("{:<57} {:>12.3f}\n", "all", kMilli * predicted_seconds(parts));
}

}  // namespace

std::string model_roofline_json(const ModelRoofline& roofline) {
  Json json = {{"machine", parse_json(machine_json(roofline.machine), "machine")},
               {"prompt", roofline.options.prompt},
               {"batch", roofline.options.batch},
               {"repetitions", roofline.options.repetitions},
               {"prefill", parts_json(roofline.prefill)},
               {"decode_step", parts_json(roofline.decode)}};
  json["published_hardware"] = Json::array();
  for (const HardwarePrediction& each : roofline.elsewhere) {
    json["published_hardware"].push_back({{"name", each.hardware->name},
                                          {"bytes_per_second", each.hardware->bytes_per_second},
                                          {"float32", each.hardware->float32},
                                          {"float16", each.hardware->float16},
                                          {"int8", each.hardware->int8},
                                          {"prefill_seconds", each.prefill_seconds},
                                          {"decode_step_seconds", each.decode_seconds},
                                          {"fits", each.fits}});
  }
  return json.dump(2) + "\n";
}

std::string model_roofline_table(const ModelRoofline& roofline) {
  const RooflineOptions& options = roofline.options;
  std::string text = machine_table(roofline.machine);
  text += fmt::format("\nprefill, {} x {} tokens\n", options.batch, options.prompt) + parts_table(roofline.prefill);
  text += fmt::format("\na decode step of {} tokens behind {} others\n", options.batch, options.prompt) +
          parts_table(roofline.decode);
  text +=
      "\nat most, by published peaks: nothing else than these bytes and operations, all units and all memory busy\n";
  text += fmt::format("{:<30} {:>8} {:>17} {:>17}\n", "hardware", "GB/s", "prefill, tokens/s", "decode, tokens/s");
  for (const HardwarePrediction& each : roofline.elsewhere) {
    text += fmt::format("{:<30} {:>8.0f}", each.hardware->name, each.hardware->bytes_per_second / kGiga);
    if (each.fits) {
      text += fmt::format(" {:>17.0f} {:>17.0f}\n",
                          static_cast<double>(options.batch * options.prompt) / each.prefill_seconds,
                          static_cast<double>(options.batch) / each.decode_seconds);
    } else {
      text += " does not fit\n";
    }
  }
  return text;
}

}  // namespace lowbit
