#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/model/model.h"

namespace lowbit {

/// The next token from its logits: the largest one (the first of equals) at temperature 0, else a draw with the random
/// number `step` from softmax(logits / temperature) cut to the `top_k` largest, then to the fewest that hold `top_p`.
/// Throws `kData` when a logit is not finite.
[[nodiscard]] TokenId sample_token(std::span<const float> logits, const GenerationOptions& options,
                                   const Random& random, std::uint64_t step);

/// Ids that end a text: what the architecture says, else the tokenizer's EOS.
[[nodiscard]] std::vector<std::int64_t> end_tokens(const Model& model);

/// Throws `kConfig` naming the option.
void check_options(const GenerationOptions& options);

}  // namespace lowbit
