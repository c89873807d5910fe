#include <algorithm>
#include <tuple>

#include "lowbit/base/json.h"
#include "lowbit/report/report.h"

namespace lowbit {
namespace {

std::string fact(const EvaluationResult& result, std::string_view name) {
  for (const auto& [key, value] : result.facts) {
    if (key == name) return value;
  }
  return {};
}

/// Facts are texts such as "5 of train"; the harness wants the number.
std::int64_t leading_number(const std::string& text) {
  std::int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') break;
    value = value * 10 + (c - '0');
  }
  return value;
}

/// "exact_match strict" is the harness's "exact_match,strict"; what has no filter is ",none".
std::pair<std::string, std::string> name_and_filter(const std::string& name) {
  const std::size_t blank = name.find(' ');
  if (blank == std::string::npos) return {name, "none"};
  return {name.substr(0, blank), name.substr(blank + 1)};
}

std::string file_name(const CellResult& cell) {
  std::string name = cell.model + "__" + cell.recipe;
  if (!cell.calibration.empty()) name += "__" + cell.calibration + "__seed" + std::to_string(cell.seed);
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-_.+=,[]").find(c) != std::string_view::npos;
    if (!plain) c = '_';
  }
  return name + ".json";
}

Json scores(const EvaluationResult& result) {
  Json json = {{"alias", result.label}};
  for (const Metric& metric : result.metrics) {
    const auto [name, filter] = name_and_filter(metric.name);
    json[name + "," + filter] = metric.value;
    json[name + "_stderr," + filter] = metric.standard_error ? Json(*metric.standard_error) : Json("N/A");
  }
  return json;
}

Json directions(const EvaluationResult& result) {
  Json json = Json::object();
  for (const Metric& metric : result.metrics) json[name_and_filter(metric.name).first] = metric.higher_is_better;
  return json;
}

class Writer {
 public:
  explicit Writer(const Results& results) : results_(results) {}

  std::map<std::string, std::string> write() {
    for (const CellResult& cell : results_.cells) {
      if (!cell.failure) add(cell);
    }
    std::map<std::string, std::string> files;
    for (const auto& [name, json] : files_) files[name] = json.dump(2) + "\n";
    return files;
  }

 private:
  void add(const CellResult& cell) {
    Json& json = files_.try_emplace(file_name(cell), start(cell)).first->second;
    const EvaluationResult& result = cell.result;
    const std::string& task = result.label;
    const auto items = static_cast<std::int64_t>(result.items.size());
    json["results"][task] = scores(result);
    json["group_subtasks"][task] = Json::array();
    json["configs"][task] = {{"task", task},
                             {"dataset_path", fact(result, "dataset")},
                             {"output_type", result.evaluation == "generation"        ? "generate_until"
                                             : result.evaluation == "multiple_choice" ? "multiple_choice"
                                                                                      : "loglikelihood_rolling"},
                             {"num_fewshot", leading_number(fact(result, "shots"))},
                             {"metadata", {{"protocol", result.protocol}}}};
    json["versions"][task] = leading_number(fact(result, "template version"));
    json["n-shot"][task] = leading_number(fact(result, "shots"));
    json["higher_is_better"][task] = directions(result);
    json["n-samples"][task] = {{"original", items + static_cast<std::int64_t>(result.problems.size())},
                               {"effective", items}};
  }

  [[nodiscard]] Json start(const CellResult& cell) const {
    std::string model_hash;
    for (const Results::ModelFacts& model : results_.models) {
      if (model.name == cell.model) model_hash = model.hash;
    }
    std::string arguments = "pretrained=" + cell.model + ",recipe=" + cell.recipe;
    if (!cell.calibration.empty()) {
      arguments += ",calibration=" + cell.calibration + ",seed=" + std::to_string(cell.seed);
    }
    return {{"results", Json::object()},
            {"group_subtasks", Json::object()},
            {"configs", Json::object()},
            {"versions", Json::object()},
            {"n-shot", Json::object()},
            {"higher_is_better", Json::object()},
            {"n-samples", Json::object()},
            {"config", {{"model", "lowbit"}, {"model_args", arguments}, {"model_sha", model_hash}}},
            {"config_hash", results_.config_hash},
            {"model_source", "lowbit"},
            {"model_name", cell.model}};
  }

  const Results& results_;
  std::map<std::string, Json> files_;
};

}  // namespace

std::map<std::string, std::string> lm_eval_results(const Results& results) { return Writer(results).write(); }

}  // namespace lowbit
