#pragma once

#include <span>

#include "lowbit/evaluation/evaluation.h"

namespace lowbit {

/// Names of the metrics and facts that tell what was measured of the cache.
inline constexpr const char* kCacheFact = "cache";
inline constexpr const char* kCacheBits = "cache_bits";

/// Adds what the model's caches took: the fact "cache" (who kept keys and values: "float", "kivi"), and, where the
/// requests have a prefill, the metrics "cache_bits" (a key's or value's number, over all layers and tokens) and
/// "cache_bytes" (of the longest request). A pass without prefill shows nothing of a rounded cache, and the fact says
/// so.
void add_cache_use(std::span<const ScoreRequest> requests, std::span<const Score> scores, const Model& model,
                   EvaluationResult& result);

}  // namespace lowbit
