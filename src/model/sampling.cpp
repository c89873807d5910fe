#include "model/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "lowbit/base/error.h"

namespace lowbit {

void check_options(const GenerationOptions& o) {
  if (o.max_new_tokens < 0) fail(ErrorCode::kConfig, "max_new_tokens is {}, expected 0 or more", o.max_new_tokens);
  if (!std::isfinite(o.temperature) || o.temperature < 0) {
    fail(ErrorCode::kConfig, "temperature is {}, expected 0 or more", o.temperature);
  }
  if (o.top_k < 0) fail(ErrorCode::kConfig, "top_k is {}, expected 0 (all) or more", o.top_k);
  if (!(o.top_p > 0 && o.top_p <= 1)) fail(ErrorCode::kConfig, "top_p is {}, expected more than 0, at most 1", o.top_p);
  for (const std::string& text : o.stop) {
    if (text.empty()) fail(ErrorCode::kConfig, "stop: an empty text would end every generation at once");
  }
}

std::int64_t ranked_count(const GenerationOptions& options, std::int64_t vocabulary) {
  if (options.temperature == 0.0) return 1;
  return options.top_k > 0 ? std::min(options.top_k, vocabulary) : vocabulary;
}

TokenId sample_token(std::span<const RankedToken> ranked, const GenerationOptions& options, const Random& random,
                     std::uint64_t step) {
  LOWBIT_ASSERT(!ranked.empty());
  if (options.temperature == 0.0) return ranked.front().id;
  std::vector<double> weights(ranked.size());
  const double largest = ranked.front().logit;
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    weights[i] = std::exp((ranked[i].logit - largest) / options.temperature);
  }
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  double kept = 0;
  std::size_t count = 0;
  while (count < weights.size() && (count == 0 || kept < options.top_p * all)) kept += weights[count++];
  double target = random.uniform(step) * kept;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    target -= weights[i];
    if (target < 0) return ranked[i].id;
  }
  return ranked[count - 1].id;
}

}  // namespace lowbit
