#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "lowbit/base/json.h"
#include "lowbit/experiment/results.h"

namespace lowbit {

// The pieces that results.json and the store's entries share.
/// JSON has no NaN and no infinity; numbers that are not finite must be seen, so they become "nan", "inf", "-inf".
[[nodiscard]] Json json_number(double value);
[[nodiscard]] Json items_json(const EvaluationResult& result);
[[nodiscard]] Json cost_json(const Cost& cost);
[[nodiscard]] Json metrics_json(const EvaluationResult& result);
[[nodiscard]] Json products_json(const EvaluationResult& result);
[[nodiscard]] Json overlap_json(const CalibrationOverlap& overlap);
[[nodiscard]] Json facts_json(const std::vector<std::pair<std::string, std::string>>& facts);

/// What the store keeps of a quantization.
struct QuantizeRecord {
  StoredSize size;
  Cost cost;
  double mean_output_error = -1;  ///< over layers that have one; -1 when none has
  std::vector<LayerReport> layers;
  std::vector<SolverEvent> events;
};
[[nodiscard]] std::string quantize_json(const QuantizeReport& report, const Cost& cost);
/// Throws `kData` as "<origin>: ...".
[[nodiscard]] QuantizeRecord quantize_from_json(std::string_view json, const std::string& origin);

}  // namespace lowbit
