#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace lowbit {

/// A text cut into pieces, in order; what lies between two pieces has been removed. Steps that only cut leave `text`
/// alone, those that rewrite make a new one.
struct Pieces {
  std::string text;
  std::vector<Range> ranges;     // never empty ones
  bool at_start = true;          // byte 0 of `text` is where the user's input starts
  std::size_t limit = SIZE_MAX;  // bytes that `text` may grow to

  [[nodiscard]] std::string_view view(const Range& range) const {
    return std::string_view(text).substr(range.begin, range.end - range.begin);
  }
};

/// What becomes of the matches of a split. Named as in tokenizer.json.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// A stretch of a piece, and whether the pattern matched it.
struct Stretch {
  Range range;
  bool match;
};

/// Covers `size` bytes: the matches (sorted, not overlapping) and what lies between them.
std::vector<Stretch> cover(const std::vector<Range>& matches, std::size_t size, bool invert);

/// Appends the parts that `behavior` makes of a cover, moved by `offset`; empty parts are left out.
void append_split(const std::vector<Stretch>& stretches, SplitBehavior behavior, std::size_t offset,
                  std::vector<Range>& out);

}  // namespace lowbit
