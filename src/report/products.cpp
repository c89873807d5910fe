#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "report/rows.h"

namespace lowbit {
namespace {

bool tells_of_products(const CellResult& cell) { return !cell.failure && !cell.result.products.empty(); }

std::vector<std::string> table_line(const ProductSummary& summary) {
  const ProductRecord& worst = summary.worst;
  const std::string count = std::to_string(summary.count);
  if (!worst.packed) return {count, "simulated", worst.reason, "", "", ""};
  const std::string arithmetic =
      worst.around.empty() ? worst.arithmetic : fmt::format("{} behind {}", worst.arithmetic, worst.around);
  if (summary.outputs == 0) return {count, arithmetic, worst.kernels, "not certified", "", ""};
  return {count,
          arithmetic,
          worst.kernels,
          fmt::format("{:.1e}", worst.error),
          fmt::format("{:.0f} %", 100 * worst.worst_share),
          fmt::format("{}", summary.outputs)};
}

}  // namespace

bool has_products(const Results& results) {
  return std::any_of(results.cells.begin(), results.cells.end(), tells_of_products);
}

Table products_table(const Results& results) {
  Table table({"recipe", "calibration", "products", "arithmetic", "kernels", "error", "of its bound", "compared"});
  for (const SummaryRow& row : summary_rows(results)) {
    const auto found = std::find_if(row.cells.begin(), row.cells.end(),
                                    [](const CellResult* cell) { return tells_of_products(*cell); });
    if (found == row.cells.end()) continue;
    for (const ProductSummary& summary : summarize_products((*found)->result.products)) {
      std::vector<std::string> line = table_line(summary);
      line.insert(line.begin(), {results.models.size() > 1 ? row.model + " " + row.recipe : row.recipe,
                                 row.calibration.empty() ? "-" : row.calibration});
      table.add(std::move(line));
    }
  }
  return table;
}

std::string products_note(const Results& results) {
  std::set<std::string> arithmetics;
  for (const CellResult& cell : results.cells) {
    for (const ProductRecord& record : cell.result.products) {
      if (record.packed) arithmetics.insert(record.arithmetic);
    }
  }
  std::string note =
      "Each packed product was compared with its decoded weight in float64, on seeded inputs: the largest error on "
      "ordinary ones, of the sum of the magnitudes of what is added up, and the largest share of the bound derived for "
      "an output, on any.";
  for (const std::string& arithmetic : arithmetics)
    note += fmt::format(" {}: {}.", arithmetic, arithmetic_note(arithmetic));
  return note;
}

}  // namespace lowbit
