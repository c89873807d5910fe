#pragma once

#include <cstddef>

#include "lowbit/base/error.h"

namespace lowbit {

/// What a text of `bytes` may become while a tokenizer's steps rewrite it. Real ones make it a few times longer; those
/// of a hostile file could multiply it at each of a hundred steps.
constexpr std::size_t growth_limit(std::size_t bytes) { return 64 * bytes + 4096; }

/// Throws `kUnsupported` when a text in the making has left its limit.
inline void check_growth(std::size_t bytes, std::size_t limit) {
  if (bytes <= limit) return;
  fail(ErrorCode::kUnsupported,
       "the tokenizer's steps make a text longer than {} bytes, which is more than 64 times what it was", limit);
}

}  // namespace lowbit
