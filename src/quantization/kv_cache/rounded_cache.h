#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lowbit/model/block.h"
#include "quantization/kv_cache/rounded_tokens.h"

namespace lowbit {

/// Which keys or values are kept rounded, and how. The others are kept as they came.
struct RoundedSide {
  KvRounding rounding;
  std::int64_t kept = 0;   ///< the last so many tokens are never rounded
  std::int64_t block = 1;  ///< older ones are rounded as soon as they fill a block; a multiple of a group of tokens

  /// Of the first `length` tokens, so many are rounded before the next comes.
  [[nodiscard]] std::int64_t rounded(std::int64_t length) const;
  /// "int2 asymmetric, 32 tokens of a channel to a scale, rounded in blocks of 128 tokens".
  [[nodiscard]] std::string text() const;
};

/// A cache that rounds tokens after they were read: a token sees itself, those of its own call and the unrounded past
/// as they are. So the prompt's own attention is exact, and what it leaves behind is rounded behind the call.
struct RoundedCacheOptions {
  RoundedSide keys;  ///< after RoPE
  RoundedSide values;
};
/// `window`: the model's sliding window; 0: none.
[[nodiscard]] std::unique_ptr<KvCachePolicy> make_rounded_kv_cache(const RoundedCacheOptions& options,
                                                                   std::int64_t window);

}  // namespace lowbit
