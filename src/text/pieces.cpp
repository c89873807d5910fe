#include "text/pieces.h"

#include <algorithm>

namespace lowbit {
namespace {

// A match joins the stretch before it, but two matches in a row stay two.
std::vector<Range> merge_with_neighbor(const std::vector<Stretch>& stretches, bool previous) {
  std::vector<Range> parts;
  bool last_was_match = false;
  const auto take = [&](const Stretch& stretch) {
    if (stretch.match && !last_was_match && !parts.empty()) {
      (previous ? parts.back().end : parts.back().begin) = previous ? stretch.range.end : stretch.range.begin;
    } else {
      parts.push_back(stretch.range);
    }
    last_was_match = stretch.match;
  };
  if (previous) {
    std::for_each(stretches.begin(), stretches.end(), take);
  } else {
    std::for_each(stretches.rbegin(), stretches.rend(), take);
    std::reverse(parts.begin(), parts.end());
  }
  return parts;
}

std::vector<Range> merge_equal(const std::vector<Stretch>& stretches) {
  std::vector<Range> parts;
  bool last_was_match = false;
  for (const Stretch& stretch : stretches) {
    if (stretch.match == last_was_match && !parts.empty()) {
      parts.back().end = stretch.range.end;
    } else {
      parts.push_back(stretch.range);
    }
    last_was_match = stretch.match;
  }
  return parts;
}

}  // namespace

std::vector<Stretch> cover(const std::vector<Range>& matches, std::size_t size, bool invert) {
  std::vector<Stretch> result;
  result.reserve(2 * matches.size() + 1);
  std::size_t end = 0;
  for (const Range& match : matches) {
    if (match.begin != end) result.push_back({{end, match.begin}, invert});
    result.push_back({match, !invert});
    end = match.end;
  }
  if (end != size) result.push_back({{end, size}, invert});
  return result;
}

void append_split(const std::vector<Stretch>& stretches, SplitBehavior behavior, std::size_t offset,
                  std::vector<Range>& out) {
  const auto append = [&](const Range& part) {
    if (part.begin < part.end) out.push_back({part.begin + offset, part.end + offset});
  };
  switch (behavior) {
    case SplitBehavior::kRemoved:
    case SplitBehavior::kIsolated:
      for (const Stretch& stretch : stretches) {
        if (behavior == SplitBehavior::kIsolated || !stretch.match) append(stretch.range);
      }
      return;
    case SplitBehavior::kContiguous:
      for (const Range& part : merge_equal(stretches)) append(part);
      return;
    case SplitBehavior::kMergedWithPrevious:
    case SplitBehavior::kMergedWithNext:
      for (const Range& part : merge_with_neighbor(stretches, behavior == SplitBehavior::kMergedWithPrevious)) {
        append(part);
      }
      return;
  }
}

}  // namespace lowbit
