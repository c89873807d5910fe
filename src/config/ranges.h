#pragma once

#include <string>

#include "lowbit/config/fields.h"

namespace lowbit {

/// "2..8", "at least 1", "at most 8" or, without bounds, an empty text. Bounds at or beyond those of `int` count as
/// none, so that an `int` and a wider field read alike.
[[nodiscard]] std::string range_text(const IntRange& range);
[[nodiscard]] std::string range_text(const RealRange& range);

}  // namespace lowbit
