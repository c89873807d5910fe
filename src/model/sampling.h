#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/model/model.h"

namespace lowbit {

/// How many of the largest logits `sample_token` looks at: 1 at temperature 0, else `top_k`, or all.
[[nodiscard]] std::int64_t ranked_count(const GenerationOptions& options, std::int64_t vocabulary);

/// The next token from the `ranked_count` largest logits, as `Model::rank` gives them: the first at temperature 0, else
/// a draw with the random number `step` from softmax(logits / temperature) of these, cut to the fewest that hold
/// `top_p`.
[[nodiscard]] TokenId sample_token(std::span<const RankedToken> ranked, const GenerationOptions& options,
                                   const Random& random, std::uint64_t step);

/// Ids that end a text: what the architecture says, else the tokenizer's EOS.
[[nodiscard]] std::vector<std::int64_t> end_tokens(const Model& model);

/// Throws `kConfig` naming the option.
void check_options(const GenerationOptions& options);

}  // namespace lowbit
