#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lowbit/evaluation/scorer.h"
#include "lowbit/tensor/dtype.h"

namespace lowbit {

/// A prompt that a model continues.
struct WritingRequest {
  std::string id;  ///< names its random numbers, so that a draw does not depend on the other requests
  std::vector<TokenId> prompt;
};

/// Requests are on the way together as long as their caches stay below it; a longer one by itself.
inline constexpr std::int64_t kWritingCacheBytes = std::int64_t{256} << 20;
/// Of all layers, as a cache holds them that rounds nothing.
[[nodiscard]] std::int64_t cache_bytes_a_token(const Architecture& architecture, DType dtype);

/// What `generate` writes for each request, in their order, with many of them on the way at once: their tokens are rows
/// of the same products, each attends to its own cache. Where a product's bits depend on its other rows, or a row on
/// its neighbours, they are written one by one; so deterministic results depend on nothing but model, prompt and
/// options. Finished requests stand in the scorer's work folder. Prompts with `max_new_tokens` must fit the context.
[[nodiscard]] std::vector<std::string> write_answers(const Scorer& scorer, std::span<const WritingRequest> requests,
                                                     const GenerationOptions& options);

}  // namespace lowbit
