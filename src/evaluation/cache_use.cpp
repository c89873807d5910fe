#include "evaluation/cache_use.h"

#include <algorithm>

namespace lowbit {

void add_cache_use(std::span<const ScoreRequest> requests, std::span<const Score> scores, const Model& model,
                   EvaluationResult& result) {
  const std::optional<RuntimeRecord> kept = model.weights().kv_cache();
  const bool decoded = !requests.empty() && requests.front().prefill > 0;
  if (!decoded) {
    if (kept) result.facts.emplace_back(kCacheFact, "not exercised");
    return;
  }
  result.facts.emplace_back(kCacheFact, kept ? kept->name : "float");
  const Architecture& a = model.architecture();
  double bytes = 0;
  double numbers = 0;
  std::int64_t most = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    bytes += static_cast<double>(scores[i].cache_bytes);
    most = std::max(most, scores[i].cache_bytes);
    const auto tokens = static_cast<std::int64_t>(requests[i].tokens.size()) - 1;
    numbers += static_cast<double>(2 * a.layers * a.kv_heads * a.head_dim * tokens);
  }
  const auto add = [&](const char* name, double value) {
    result.metrics.push_back({.name = name, .value = value, .standard_error = {}, .higher_is_better = false});
  };
  add(kCacheBits, 8 * bytes / numbers);
  add("cache_bytes", static_cast<double>(most));
}

}  // namespace lowbit
