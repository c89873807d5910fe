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

TokenId sample_token(std::span<const float> logits, const GenerationOptions& options, const Random& random,
                     std::uint64_t step) {
  for (const float logit : logits) {
    if (!std::isfinite(logit))
      fail(ErrorCode::kData, "a logit is {}; the model's weights or activations overflow", logit);
  }
  if (options.temperature == 0.0) {
    return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  // Equal logits in the order of their ids: the cut is the same on every machine.
  std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) {
    return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
  });
  if (options.top_k > 0) order.resize(std::min(order.size(), static_cast<std::size_t>(options.top_k)));
  std::vector<double> weights(order.size());
  const double largest = logits[static_cast<std::size_t>(order.front())];
  for (std::size_t i = 0; i < order.size(); ++i) {
    weights[i] = std::exp((logits[static_cast<std::size_t>(order[i])] - largest) / options.temperature);
  }
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  double kept = 0;
  std::size_t count = 0;
  while (count < weights.size() && (count == 0 || kept < options.top_p * all)) kept += weights[count++];
  double target = random.uniform(step) * kept;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    target -= weights[i];
    if (target < 0) return order[i];
  }
  return order[count - 1];
}

}  // namespace lowbit
