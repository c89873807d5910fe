#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "lowbit/base/files.h"
#include "report/rows.h"

namespace lowbit {
namespace {

constexpr const char* kEfficiency = "efficiency";

const CellResult* done_cell(const SummaryRow& row, const std::string& evaluation) {
  const auto found = std::find_if(row.cells.begin(), row.cells.end(), [&](const CellResult* cell) {
    return cell->evaluation == evaluation && !cell->failure;
  });
  return found == row.cells.end() ? nullptr : *found;
}

std::string metric_text(const CellResult& cell, const std::string& name, double factor, std::string_view format) {
  const Metric* metric = find_metric(cell.result, name);
  if (metric == nullptr) return "";
  std::string text = fmt::format(fmt::runtime(format), metric->value * factor);
  if (metric->standard_error) text += " ± " + fmt::format(fmt::runtime(format), *metric->standard_error * factor);
  return text;
}

std::string bytes_text(const CellResult& cell, const std::string& name) {
  const Metric* metric = find_metric(cell.result, name);
  return metric == nullptr ? "" : format_bytes(static_cast<std::uint64_t>(metric->value));
}

std::string ratio_text(const CellResult& cell, const CellResult* baseline) {
  if (baseline == nullptr || &cell == baseline) return "";
  return fmt::format("{:.2f} x", cell.result.metrics.front().value / baseline->result.metrics.front().value);
}

// The float model's cell of the same model and evaluation, measured in the same run or an earlier one.
const CellResult* float_cell(const Results& results, const std::string& model, const std::string& evaluation) {
  for (const CellResult& cell : results.cells) {
    const bool is_float = cell.recipe == Experiment::kBaseline && cell.model == model;
    if (is_float && cell.evaluation == evaluation && !cell.failure) return &cell;
  }
  return nullptr;
}

}  // namespace

bool is_efficiency(const Results& results, const std::string& evaluation) {
  return std::any_of(results.cells.begin(), results.cells.end(), [&](const CellResult& cell) {
    return cell.evaluation == evaluation && !cell.failure && cell.result.evaluation == kEfficiency;
  });
}

// One seed of a recipe: another draw of the calibration data changes no time.
Table efficiency_table(const Results& results, const std::string& evaluation) {
  Table table({"recipe", "calibration", "decode tokens/s", "of float", "of roofline", "prefill tokens/s", "of roofline",
               "first token, ms", "weights a token", "cache", "peak memory", "J a token"});
  for (const SummaryRow& row : summary_rows(results)) {
    const std::string name = results.models.size() > 1 ? row.model + " " + row.recipe : row.recipe;
    const CellResult* cell = done_cell(row, evaluation);
    if (cell == nullptr) {
      table.add({name, row.calibration.empty() ? "-" : row.calibration, "failed"});
      continue;
    }
    table.add({name, row.calibration.empty() ? "-" : row.calibration,
               metric_text(*cell, "decode_tokens_per_second", 1, "{:.1f}"),
               ratio_text(*cell, float_cell(results, row.model, evaluation)),
               metric_text(*cell, "decode_share_of_roofline", 100, "{:.0f} %"),
               metric_text(*cell, "prefill_tokens_per_second", 1, "{:.1f}"),
               metric_text(*cell, "prefill_share_of_roofline", 100, "{:.0f} %"),
               metric_text(*cell, "first_token_seconds", 1e3, "{:.1f}"), bytes_text(*cell, "weight_bytes_per_token"),
               bytes_text(*cell, "cache_bytes"), bytes_text(*cell, "peak_memory_bytes"),
               metric_text(*cell, "joules_per_token", 1, "{:.3f}")});
  }
  return table;
}

}  // namespace lowbit
