#pragma once

#include <string>
#include <vector>

#include "lowbit/experiment/results.h"
#include "report/table.h"

namespace lowbit {

/// The cells of one line of the summary: a (model, calibration, recipe) on every evaluation, over all seeds.
struct SummaryRow {
  std::string model, calibration, recipe;
  std::vector<const CellResult*> cells;
};
[[nodiscard]] std::vector<SummaryRow> summary_rows(const Results& results);
/// The labels of all evaluations, in order.
[[nodiscard]] std::vector<std::string> evaluation_labels(const Results& results);
/// Perplexity (or score) with its standard error, the change against float with its interval, KL and top-1 agreement.
[[nodiscard]] Table evaluation_table(const Results& results, const std::string& evaluation);
/// Whether the evaluation measured speed, and its table: rates, shares of the roofline, bytes.
[[nodiscard]] bool is_efficiency(const Results& results, const std::string& evaluation);
[[nodiscard]] Table efficiency_table(const Results& results, const std::string& evaluation);
/// Bits per weight really stored, file size, time and peak memory of quantizing.
[[nodiscard]] Table storage_table(const Results& results);
/// How products with quantized weights ran and what their certificates say; only the heading when all were simulated.
[[nodiscard]] Table products_table(const Results& results);
[[nodiscard]] bool has_products(const Results& results);
/// What the arithmetics of that table round.
[[nodiscard]] std::string products_note(const Results& results);
/// The fact that says who kept a cell's keys and values (evaluation/cache_use.h).
inline constexpr const char* kCacheFact = "cache";
[[nodiscard]] const Metric* find_metric(const EvaluationResult& result, const std::string& name);

}  // namespace lowbit
