#include "experiment/result_json.h"

#include <cmath>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

double read_number(const Json& json) {
  if (json.is_number()) return json.get<double>();
  const std::string text = json.get<std::string>();
  if (text == "nan") return std::nan("");
  if (text == "inf") return HUGE_VAL;
  if (text == "-inf") return -HUGE_VAL;
  fail(ErrorCode::kData, "expected a number, found '{}'", text);
}

// `get` would take a number that is no integer, or none of 64 bits, for another one.
std::int64_t read_integer(const Json& json) {
  const bool beyond = json.is_number_unsigned() && json.get<std::uint64_t>() > std::uint64_t{INT64_MAX};
  if (json.is_number_integer() && !beyond) return json.get<std::int64_t>();
  fail(ErrorCode::kData, "expected a whole number, found {}", json.dump(-1, ' ', true).substr(0, 40));
}

// Runs a reader of foreign JSON; the library's exceptions become one error that names the file.
template <typename Reader>
auto read_checked(std::string_view text, const std::string& origin, int version, Reader&& reader) {
  const Json json = parse_json(text, origin);
  try {
    return with_context(origin, [&] {
      const std::int64_t found = read_integer(json.at("version"));
      if (found != version) {
        fail(ErrorCode::kData, "version {}, this program reads version {}; delete it to run the work again", found,
             version);
      }
      return reader(json);
    });
  } catch (const Json::exception& problem) {
    fail(ErrorCode::kData, "{}: not a result of lowbit: {}; delete it to run the work again", origin, problem.what());
  }
}

Cost read_cost(const Json& json) {
  return {read_number(json.at("seconds")), read_integer(json.at("peak_memory_bytes")),
          read_integer(json.at("peak_anonymous_bytes"))};
}

ProductRecord read_product(const Json& json) {
  ProductRecord record;
  record.linear = json.at("linear").get<std::string>();
  record.packed = json.at("execution").get<std::string>() == "packed";
  if (json.contains("around")) record.around = json["around"].get<std::string>();
  if (!record.packed) {
    record.reason = json.at("reason").get<std::string>();
    return record;
  }
  record.arithmetic = json.at("arithmetic").get<std::string>();
  record.kernels = json.at("kernels").get<std::string>();
  record.bytes = read_integer(json.at("bytes"));
  record.error = read_number(json.at("error"));
  record.worst_share = read_number(json.at("share_of_bound"));
  record.outputs = read_integer(json.at("outputs"));
  return record;
}

constexpr int kQuantizeVersion = 1;

}  // namespace

Json json_number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

Json items_json(const EvaluationResult& result) {
  Json items = Json::array();
  for (const EvaluationResult::Item& item : result.items) {
    Json entry = {{"id", item.id}, {"value", json_number(item.value)}, {"weight", json_number(item.weight)}};
    for (const auto& [key, value] : item.more) entry[key] = json_number(value);
    if (!item.output.empty()) entry["output"] = item.output;
    items.push_back(std::move(entry));
  }
  return items;
}

Json cost_json(const Cost& cost) {
  return {{"seconds", json_number(cost.seconds)},
          {"peak_memory_bytes", cost.peak_memory},
          {"peak_anonymous_bytes", cost.peak_anonymous}};
}

Json overlap_json(const CalibrationOverlap& overlap) {
  return {{"calibration", overlap.calibration},
          {"dataset", overlap.dataset},
          {"split", overlap.split},
          {"evaluation", overlap.evaluation},
          {"documents", overlap.documents},
          {"whole", overlap.whole},
          {"run", overlap.run},
          {"ngram", overlap.ngram},
          {"excluded", overlap.excluded}};
}

Json facts_json(const std::vector<std::pair<std::string, std::string>>& facts) {
  Json json = Json::object();
  for (const auto& [key, value] : facts) json[key] = value;
  return json;
}

Json metrics_json(const EvaluationResult& result) {
  Json json = Json::array();
  for (const Metric& metric : result.metrics) {
    Json entry = {{"name", metric.name}, {"value", json_number(metric.value)}};
    if (metric.standard_error) entry["standard_error"] = json_number(*metric.standard_error);
    entry["higher_is_better"] = metric.higher_is_better;
    json.push_back(std::move(entry));
  }
  return json;
}

Json products_json(const EvaluationResult& result) {
  Json json = Json::array();
  for (const ProductRecord& record : result.products) {
    Json entry = {{"linear", record.linear}, {"execution", record.packed ? "packed" : "simulated"}};
    if (record.packed) {
      entry["arithmetic"] = record.arithmetic;
      entry["kernels"] = record.kernels;
      entry["bytes"] = record.bytes;
      entry["error"] = json_number(record.error);
      entry["share_of_bound"] = json_number(record.worst_share);
      entry["outputs"] = record.outputs;
    } else {
      entry["reason"] = record.reason;
    }
    if (!record.around.empty()) entry["around"] = record.around;
    json.push_back(std::move(entry));
  }
  return json;
}

std::string evaluation_json(const EvaluationResult& result, const Cost& cost) {
  Json json = {{"version", EvaluationResult::kItemVersion},
               {"evaluation", result.evaluation},
               {"label", result.label},
               {"protocol", result.protocol},
               {"metrics", metrics_json(result)},
               {"facts", facts_json(result.facts)},
               {"cost", cost_json(cost)},
               {"consecutive", result.consecutive},
               {"items", items_json(result)}};
  if (!result.problems.empty()) json["problems"] = result.problems;
  if (!result.products.empty()) json["products"] = products_json(result);
  return json.dump(1) + "\n";
}

std::pair<EvaluationResult, Cost> evaluation_from_json(std::string_view text, const std::string& origin) {
  return read_checked(text, origin, EvaluationResult::kItemVersion, [](const Json& json) {
    EvaluationResult result;
    result.evaluation = json.at("evaluation").get<std::string>();
    result.label = json.at("label").get<std::string>();
    result.protocol = json.at("protocol").get<std::string>();
    for (const Json& entry : json.at("metrics")) {
      Metric metric{entry.at("name").get<std::string>(), read_number(entry.at("value")), std::nullopt,
                    entry.at("higher_is_better").get<bool>()};
      if (entry.contains("standard_error")) metric.standard_error = read_number(entry["standard_error"]);
      result.metrics.push_back(std::move(metric));
    }
    for (const auto& [key, value] : json.at("facts").items()) result.facts.emplace_back(key, value.get<std::string>());
    result.consecutive = json.at("consecutive").get<bool>();
    if (json.contains("problems")) result.problems = json["problems"].get<std::vector<std::string>>();
    if (json.contains("products")) {
      for (const Json& entry : json["products"]) result.products.push_back(read_product(entry));
    }
    for (const Json& entry : json.at("items")) {
      EvaluationResult::Item item;
      for (const auto& [key, value] : entry.items()) {
        if (key == "id")
          item.id = value.get<std::string>();
        else if (key == "value")
          item.value = read_number(value);
        else if (key == "weight")
          item.weight = read_number(value);
        else if (key == "output")
          item.output = value.get<std::string>();
        else
          item.more[key] = read_number(value);
      }
      result.items.push_back(std::move(item));
    }
    return std::pair(std::move(result), read_cost(json.at("cost")));
  });
}

std::string quantize_json(const QuantizeReport& report, const Cost& cost) {
  Json layers = Json::array();
  for (const LayerReport& layer : report.layers) {
    layers.push_back({{"layer", layer.layer},
                      {"grid", layer.grid},
                      {"weight_error", json_number(layer.weight_error)},
                      {"output_error", json_number(layer.output_error)},
                      {"seconds", json_number(layer.seconds)}});
  }
  Json events = Json::array();
  for (const SolverEvent& event : report.events)
    events.push_back({{"layer", event.layer}, {"what", event.what}, {"value", json_number(event.value)}});
  const Json json = {{"version", kQuantizeVersion},
                     {"bits_per_quantized_weight", json_number(report.size.bits_per_quantized_weight)},
                     {"quantized_weights", report.size.quantized_weights},
                     {"file_bytes", report.size.file_bytes},
                     {"resumed_blocks", report.resumed_blocks},
                     {"cost", cost_json(cost)},
                     {"layers", std::move(layers)},
                     {"events", std::move(events)}};
  return json.dump(1) + "\n";
}

QuantizeRecord quantize_from_json(std::string_view text, const std::string& origin) {
  return read_checked(text, origin, kQuantizeVersion, [](const Json& json) {
    QuantizeRecord record;
    record.size = {read_number(json.at("bits_per_quantized_weight")), read_integer(json.at("quantized_weights")),
                   read_integer(json.at("file_bytes"))};
    record.cost = read_cost(json.at("cost"));
    double sum = 0;
    std::int64_t count = 0;
    for (const Json& entry : json.at("layers")) {
      LayerReport layer;
      layer.layer = entry.at("layer").get<std::string>();
      layer.grid = entry.at("grid").get<std::string>();
      layer.weight_error = read_number(entry.at("weight_error"));
      layer.output_error = read_number(entry.at("output_error"));
      layer.seconds = read_number(entry.at("seconds"));
      record.layers.push_back(std::move(layer));
      if (record.layers.back().output_error < 0) continue;
      sum += record.layers.back().output_error;
      ++count;
    }
    if (count > 0) record.mean_output_error = sum / static_cast<double>(count);
    for (const Json& entry : json.at("events")) {
      record.events.push_back(
          {entry.at("layer").get<std::string>(), entry.at("what").get<std::string>(), read_number(entry.at("value"))});
    }
    return record;
  });
}

}  // namespace lowbit
