#include "report/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "lowbit/base/files.h"

namespace lowbit {
namespace {

std::string number_text(double value) {
  if (!std::isfinite(value)) return fmt::format("{}", value);
  const double size = std::abs(value);
  if (size >= 1e5) return fmt::format("{:.3g}", value);
  if (size >= 100) return fmt::format("{:.1f}", value);
  return fmt::format("{:.3f}", value);
}

std::vector<const CellResult*> done_cells(const SummaryRow& row, const std::string& evaluation) {
  std::vector<const CellResult*> cells;
  for (const CellResult* cell : row.cells) {
    if (!cell->failure && cell->evaluation == evaluation) cells.push_back(cell);
  }
  return cells;
}

// The mean of a number over the row's cells of one evaluation that were done; nothing without any.
std::optional<double> mean_over_seeds(const SummaryRow& row, const std::string& evaluation,
                                      const std::function<std::optional<double>(const CellResult&)>& value) {
  double sum = 0;
  int count = 0;
  for (const CellResult* cell : done_cells(row, evaluation)) {
    const std::optional<double> number = value(*cell);
    if (!number) continue;
    sum += *number;
    ++count;
  }
  if (count == 0) return std::nullopt;
  return sum / count;
}

std::optional<double> metric_value(const CellResult& cell, const std::string& name) {
  const Metric* metric = find_metric(cell.result, name);
  return metric == nullptr ? std::nullopt : std::optional(metric->value);
}

const CellResult* first_cell(const SummaryRow& row, const std::string& evaluation) {
  const auto found = std::find_if(row.cells.begin(), row.cells.end(),
                                  [&](const CellResult* cell) { return cell->evaluation == evaluation; });
  return found == row.cells.end() ? nullptr : *found;
}

std::optional<double> headline_of(const CellResult& cell) {
  return cell.result.metrics.empty() ? std::nullopt : std::optional(cell.result.metrics.front().value);
}

// Of the headline over the row's seeds; nothing below two.
std::optional<double> spread_over_seeds(const SummaryRow& row, const std::string& evaluation) {
  const auto mean = mean_over_seeds(row, evaluation, headline_of);
  const auto count = static_cast<double>(done_cells(row, evaluation).size());
  if (!mean || count < 2) return std::nullopt;
  const auto square = mean_over_seeds(row, evaluation, [&](const CellResult& cell) {
    const auto value = headline_of(cell);
    return value ? std::optional((*value - *mean) * (*value - *mean)) : std::nullopt;
  });
  return std::sqrt(*square * count / (count - 1));
}

std::string headline_text(const SummaryRow& row, const std::string& evaluation) {
  const auto value = mean_over_seeds(row, evaluation, headline_of);
  if (!value) return "failed";
  std::string text = number_text(*value);
  const auto error = mean_over_seeds(row, evaluation,
                                     [](const CellResult& cell) { return cell.result.metrics.front().standard_error; });
  if (error) text += " ± " + number_text(*error);
  const auto spread = spread_over_seeds(row, evaluation);
  if (spread) text += ", seeds ± " + number_text(*spread);
  return text;
}

bool is_log_perplexity(const SummaryRow& row, const std::string& evaluation) {
  for (const CellResult* cell : done_cells(row, evaluation)) {
    if (!cell->result.metrics.empty()) return cell->result.metrics.front().name.find("perplexity") != std::string::npos;
  }
  return false;
}

const Comparison* comparison_with_float(const Results& results, const SummaryRow& row, const std::string& evaluation) {
  for (const Comparison& comparison : results.against_baseline) {
    if (comparison.model == row.model && comparison.evaluation == evaluation && comparison.first == row.recipe &&
        comparison.calibration == row.calibration)
      return &comparison;
  }
  return nullptr;
}

// The change of the headline against float. For perplexity the paired difference is one of logarithms, so it reads as a
// ratio.
std::string change_text(const Results& results, const SummaryRow& row, const std::string& evaluation) {
  const Comparison* comparison = comparison_with_float(results, row, evaluation);
  if (comparison == nullptr) return "";
  const PairedDifference& difference = comparison->difference;
  const bool ratio = is_log_perplexity(row, evaluation);
  if (difference.n < 2) {
    return ratio ? fmt::format("{:+.1f} %, one item", 100 * std::expm1(difference.difference))
                 : fmt::format("{:+.4f}, one item", difference.difference);
  }
  std::string text =
      ratio ? fmt::format("{:+.1f} % [{:+.1f}, {:+.1f}]", 100 * std::expm1(difference.difference),
                          100 * std::expm1(difference.low), 100 * std::expm1(difference.high))
            : fmt::format("{:+.4f} [{:+.4f}, {:+.4f}]", difference.difference, difference.low, difference.high);
  if (comparison->verdict == Verdict::kEquivalent) text += " equiv.";
  if (comparison->verdict == Verdict::kUndecided) text += " n.s.";
  return text;
}

bool several_seeds(const Results& results) {
  std::set<std::int64_t> seeds;
  for (const CellResult& cell : results.cells) {
    if (!cell.calibration.empty()) seeds.insert(cell.seed);
  }
  return seeds.size() > 1;
}

// How many draws stand behind the row, and whether they speak for further ones.
std::string seeds_text(const Results& results, const SummaryRow& row, const std::string& evaluation) {
  if (row.calibration.empty()) return "-";
  const Comparison* comparison = comparison_with_float(results, row, evaluation);
  const std::size_t count = done_cells(row, evaluation).size();
  const bool sample = comparison != nullptr && comparison->difference.seeds_are_a_sample;
  return fmt::format("{}{}", count, sample ? "" : " (fixed)");
}

bool tells_of_flips(const Results& results, const std::string& evaluation) {
  return std::any_of(results.cells.begin(), results.cells.end(), [&](const CellResult& cell) {
    return cell.evaluation == evaluation && !cell.failure && cell.flips && cell.recipe != Experiment::kBaseline;
  });
}

// Answers lost and gained against float: counts with McNemar's p of one cell, means over several seeds.
std::string flips_text(const SummaryRow& row, const std::string& evaluation) {
  const auto mean_of = [&](std::int64_t Flips::*count) {
    return mean_over_seeds(row, evaluation, [&](const CellResult& cell) {
      return cell.flips ? std::optional(static_cast<double>((*cell.flips).*count)) : std::nullopt;
    });
  };
  const std::optional<double> lost = mean_of(&Flips::lost);
  const std::optional<double> gained = mean_of(&Flips::gained);
  if (!lost || !gained) return "";
  const std::vector<const CellResult*> cells = done_cells(row, evaluation);
  if (cells.size() > 1) return fmt::format("{:.1f} / {:.1f}", *lost, *gained);
  return fmt::format("{} / {}, p {:.2g}", *lost, *gained, cells.front()->flips->p_value);
}

std::string optional_metric(const SummaryRow& row, const std::string& evaluation, const std::string& name, double scale,
                            std::string_view format) {
  const auto value = mean_over_seeds(row, evaluation, [&](const CellResult& cell) { return metric_value(cell, name); });
  return value ? fmt::format(fmt::runtime(format), *value * scale) : "";
}

std::string row_name(const SummaryRow& row, bool several_models) {
  return several_models ? row.model + " " + row.recipe : row.recipe;
}

bool several_models(const Results& results) { return results.models.size() > 1; }

const std::string* cache_fact(const CellResult& cell) {
  const auto& facts = cell.result.facts;
  const auto found =
      std::find_if(facts.begin(), facts.end(), [](const auto& fact) { return fact.first == kCacheFact; });
  return found == facts.end() ? nullptr : &found->second;
}

bool tells_of_caches(const Results& results, const std::string& evaluation) {
  return std::any_of(results.cells.begin(), results.cells.end(), [&](const CellResult& cell) {
    return cell.evaluation == evaluation && !cell.failure && cache_fact(cell) != nullptr;
  });
}

// Bits that a number took in the cache; or that the model's own cache was not read from, so that the row shows nothing
// of what it does.
std::string cache_text(const SummaryRow& row, const std::string& evaluation) {
  const std::string bits = optional_metric(row, evaluation, "cache_bits", 1.0, "{:.2f} bits");
  if (!bits.empty()) return bits;
  for (const CellResult* cell : done_cells(row, evaluation)) {
    if (const std::string* fact = cache_fact(*cell)) return *fact;
  }
  return "";
}

// A recipe may leave all weights float and round something else.
std::string weight_bits_text(const StoredSize& size) {
  return size.quantized_weights == 0 ? "float" : fmt::format("{:.3f}", size.bits_per_quantized_weight);
}

std::string seconds_text(double seconds) { return fmt::format("{:.1f} s", seconds); }

}  // namespace

const Metric* find_metric(const EvaluationResult& result, const std::string& name) {
  const auto found = std::find_if(result.metrics.begin(), result.metrics.end(),
                                  [&](const Metric& metric) { return metric.name == name; });
  return found == result.metrics.end() ? nullptr : &*found;
}

std::vector<SummaryRow> summary_rows(const Results& results) {
  std::vector<SummaryRow> rows;
  for (const CellResult& cell : results.cells) {
    const auto same = [&](const SummaryRow& row) {
      return row.model == cell.model && row.recipe == cell.recipe && row.calibration == cell.calibration;
    };
    auto found = std::find_if(rows.begin(), rows.end(), same);
    if (found == rows.end()) found = rows.insert(rows.end(), {cell.model, cell.calibration, cell.recipe, {}});
    found->cells.push_back(&cell);
  }
  return rows;
}

std::vector<std::string> evaluation_labels(const Results& results) {
  std::vector<std::string> labels;
  for (const CellResult& cell : results.cells) {
    if (std::find(labels.begin(), labels.end(), cell.evaluation) == labels.end()) labels.push_back(cell.evaluation);
  }
  return labels;
}

Table evaluation_table(const Results& results, const std::string& evaluation) {
  std::string headline = "score";
  for (const CellResult& cell : results.cells) {
    if (cell.evaluation == evaluation && !cell.failure && !cell.result.metrics.empty())
      headline = cell.result.metrics.front().name;
  }
  const bool seeds = several_seeds(results);
  std::vector<std::string> heading = {
      "recipe", "calibration", "bits/weight", headline + " ± s.e.", "vs float, 95 % paired", "mean KL", "same top-1"};
  if (seeds) heading.insert(heading.begin() + 2, "seeds");
  const bool caches = tells_of_caches(results, evaluation);
  if (caches) heading.emplace_back("cache");
  const bool flips = tells_of_flips(results, evaluation);
  if (flips) heading.emplace_back("lost / gained");
  Table table(std::move(heading));
  for (const SummaryRow& row : summary_rows(results)) {
    const CellResult* cell = first_cell(row, evaluation);
    if (cell == nullptr) continue;
    std::vector<std::string> line = {row_name(row, several_models(results)),
                                     row.calibration.empty() ? "-" : row.calibration,
                                     cell->size                            ? weight_bits_text(*cell->size)
                                     : row.recipe == Experiment::kBaseline ? "float"
                                                                           : "",
                                     headline_text(row, evaluation),
                                     change_text(results, row, evaluation),
                                     optional_metric(row, evaluation, "kl_mean", 1.0, "{:.4f}"),
                                     optional_metric(row, evaluation, "top1_agreement", 100.0, "{:.1f} %")};
    if (seeds) line.insert(line.begin() + 2, seeds_text(results, row, evaluation));
    if (caches) line.push_back(cache_text(row, evaluation));
    if (flips) line.push_back(flips_text(row, evaluation));
    table.add(std::move(line));
  }
  return table;
}

Table storage_table(const Results& results) {
  Table table({"recipe", "calibration", "bits/weight", "on disk", "output error", "events", "time", "peak memory"});
  for (const SummaryRow& row : summary_rows(results)) {
    const auto found =
        std::find_if(row.cells.begin(), row.cells.end(), [](const CellResult* cell) { return cell->size.has_value(); });
    if (found == row.cells.end()) continue;
    const CellResult& cell = **found;
    table.add({row_name(row, several_models(results)), row.calibration.empty() ? "-" : row.calibration,
               weight_bits_text(*cell.size), format_bytes(static_cast<std::uint64_t>(cell.size->file_bytes)),
               cell.mean_output_error ? fmt::format("{:.4f}", *cell.mean_output_error) : "-",
               std::to_string(cell.event_count), seconds_text(cell.quantize_cost.seconds),
               format_bytes(static_cast<std::uint64_t>(cell.quantize_cost.peak_memory))});
  }
  return table;
}

}  // namespace lowbit
