#include "lowbit/model/product_record.h"

#include <fmt/format.h>

#include <algorithm>

namespace lowbit {

std::string_view execution_name(Execution execution) {
  switch (execution) {
    case Execution::kSimulated: return "simulated";
    case Execution::kPacked: return "packed";
    case Execution::kAuto: return "auto";
  }
  return "";
}

std::string_view arithmetic_note(std::string_view arithmetic) {
  if (arithmetic == "int16")
    return "inputs rounded to 16 bits, by at most 2^-16 of the largest in 256 columns of a group";
  if (arithmetic == "int8") return "inputs rounded to 8 bits per token, as the recipe says";
  if (arithmetic == "float8") return "inputs rounded to E4M3 per token, as the recipe says";
  return "inputs as they are";
}

std::string ProductSummary::text() const {
  if (!worst.packed) return fmt::format("{} simulated: {}", count, worst.reason);
  return fmt::format("{} packed, {}{}{} ({})", count, worst.arithmetic, worst.around.empty() ? "" : " behind ",
                     worst.around, worst.kernels.empty() ? "not certified" : worst.kernels);
}

std::vector<ProductSummary> summarize_products(std::span<const ProductRecord> records) {
  std::vector<ProductSummary> summaries;
  for (const ProductRecord& record : records) {
    const auto found = std::find_if(summaries.begin(), summaries.end(), [&](const ProductSummary& summary) {
      const ProductRecord& other = summary.worst;
      return other.packed == record.packed && other.arithmetic == record.arithmetic && other.around == record.around &&
             other.kernels == record.kernels && other.reason == record.reason;
    });
    ProductSummary& summary = found != summaries.end() ? *found : summaries.emplace_back(ProductSummary{record, 0, 0});
    const double error = std::max(record.error, summary.worst.error);
    if (record.worst_share > summary.worst.worst_share) summary.worst = record;
    summary.worst.error = error;
    ++summary.count;
    summary.outputs += record.outputs;
  }
  return summaries;
}

}  // namespace lowbit
