#include <algorithm>

#include "evaluation/branches.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

/// What a request reads: all its tokens but the last.
std::span<const TokenId> input_of(const ScoreRequest& request) {
  return std::span<const TokenId>(request.tokens).first(request.tokens.size() - 1);
}

std::size_t trunk_length(std::span<const ScoreRequest> group) {
  const std::span<const TokenId> first = input_of(group.front());
  std::size_t length = first.size();
  for (const ScoreRequest& request : group) {
    const std::span<const TokenId> input = input_of(request);
    const auto end =
        std::mismatch(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(length), input.begin(), input.end());
    length = static_cast<std::size_t>(end.first - first.begin());
  }
  return length;
}

std::int64_t add_segment(std::span<const TokenId> ids, std::int64_t first_position, PackedSequence& packed) {
  const auto begin = static_cast<std::int64_t>(packed.ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    packed.ids.push_back(ids[i]);
    packed.positions.push_back(first_position + static_cast<std::int64_t>(i));
  }
  return begin;
}

}  // namespace

void pack_group(std::span<const ScoreRequest> group, std::size_t first_request, PackedSequence& packed) {
  const std::size_t trunk = trunk_length(group);
  const auto trunk_rows = static_cast<std::int64_t>(trunk);
  const std::int64_t trunk_begin = add_segment(input_of(group.front()).first(trunk), 0, packed);
  if (trunk > 0) packed.segments.push_back({trunk_begin, trunk_rows, 0, 0});
  for (std::size_t i = 0; i < group.size(); ++i) {
    const std::span<const TokenId> rest = input_of(group[i]).subspan(trunk);
    const std::int64_t begin = add_segment(rest, trunk_rows, packed);
    if (!rest.empty()) {
      packed.segments.push_back({begin, static_cast<std::int64_t>(rest.size()), trunk_begin, trunk_rows});
    }
    PackedSequence::Scored scored{.request = first_request + i, .rows = {}};
    for (std::int64_t target = group[i].first; target < static_cast<std::int64_t>(group[i].tokens.size()); ++target) {
      const std::int64_t position = target - 1;
      scored.rows.push_back(position < trunk_rows ? trunk_begin + position : begin + position - trunk_rows);
    }
    packed.scored.push_back(std::move(scored));
  }
}

std::int64_t branched_tokens(const BranchedRequests& requests) {
  std::int64_t total = 0;
  std::size_t first = 0;
  for (const std::size_t count : requests.groups) {
    const std::span<const ScoreRequest> group = std::span(requests.requests).subspan(first, count);
    const auto trunk = static_cast<std::int64_t>(trunk_length(group));
    total += trunk;
    for (const ScoreRequest& request : group) total += static_cast<std::int64_t>(input_of(request).size()) - trunk;
    first += count;
  }
  return total;
}

}  // namespace lowbit
