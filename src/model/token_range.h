#pragma once

#include <cstdint>

#include "lowbit/base/error.h"

namespace lowbit {

/// Throws `kData` for an id that has no row in the embedding.
inline void check_token(std::int64_t id, std::int64_t vocabulary) {
  if (id >= 0 && id < vocabulary) return;
  fail(ErrorCode::kData, "token id {} is outside the model's vocabulary of {}", id, vocabulary);
}

}  // namespace lowbit
