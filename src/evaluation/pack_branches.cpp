#include <algorithm>

#include "evaluation/branches.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

using Tokens = std::span<const TokenId>;

/// What a request reads: all its tokens but the last.
Tokens input_of(const ScoreRequest& request) { return Tokens(request.tokens).first(request.tokens.size() - 1); }

std::int64_t common_length(Tokens a, Tokens b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

std::span<const ScoreRequest> requests_of(const BranchedRequests& all, const RequestGroup& group) {
  return std::span(all.requests).subspan(group.first, group.count);
}

/// What all requests of a group read first.
Tokens trunk_of(std::span<const ScoreRequest> group) {
  Tokens trunk = input_of(group.front());
  for (const ScoreRequest& request : group) {
    trunk = trunk.first(static_cast<std::size_t>(common_length(trunk, input_of(request))));
  }
  return trunk;
}

std::int64_t tokens_of(std::span<const ScoreRequest> group) {
  const auto trunk = static_cast<std::int64_t>(trunk_of(group).size());
  std::int64_t total = trunk;
  for (const ScoreRequest& request : group) total += static_cast<std::int64_t>(input_of(request).size()) - trunk;
  return total;
}

/// Adds a segment behind `before`, unless it is empty.
RowRange add_segment(Tokens ids, const std::vector<RowRange>& before, PackedSequence& packed) {
  const RowRange own{static_cast<std::int64_t>(packed.ids.size()), static_cast<std::int64_t>(ids.size())};
  std::int64_t position = 0;
  for (const RowRange& rows : before) position += rows.length;
  for (const TokenId id : ids) {
    packed.ids.push_back(id);
    packed.positions.push_back(position++);
  }
  if (own.length > 0) packed.segments.push_back({own, before});
  return own;
}

/// The row of a position of what a request reads.
std::int64_t row_of(std::int64_t position, const std::vector<RowRange>& segments) {
  for (const RowRange& rows : segments) {
    if (position < rows.length) return rows.begin + position;
    position -= rows.length;
  }
  fail(ErrorCode::kInternal, "a packed sequence lacks a position that is scored");
}

std::vector<RowRange> joined(std::vector<RowRange> before, const RowRange& own) {
  if (own.length > 0) before.push_back(own);
  return before;
}

/// A group with what its place in the order depends on.
struct Measured {
  RequestGroup group;
  Tokens trunk;
  std::int64_t tokens = 0;
};

std::vector<Measured> measured(const BranchedRequests& all, std::span<const RequestGroup> groups) {
  std::vector<Measured> list;
  for (const RequestGroup& group : groups) {
    list.push_back({group, trunk_of(requests_of(all, group)), tokens_of(requests_of(all, group))});
  }
  return list;
}

/// Groups of one sequence that begin alike.
struct Family {
  std::vector<RequestGroup> groups;
  Tokens stem;
  std::int64_t tokens = 0;  ///< of the groups, each by itself

  [[nodiscard]] std::int64_t rows() const { return rows(groups.size(), stem.size(), tokens); }
  static std::int64_t rows(std::size_t count, std::size_t stem, std::int64_t tokens) {
    return tokens - static_cast<std::int64_t>((count - 1) * stem);
  }
};

class Packer {
 public:
  Packer(const BranchedRequests& all, std::int64_t batch_tokens) : all_(all), batch_tokens_(batch_tokens) {}

  void add(const Measured& next) {
    if (!families_.empty() && joins(next)) return;
    if (rows_ > 0 && rows_ + next.tokens > batch_tokens_) close();
    families_.push_back({{next.group}, next.trunk, next.tokens});
    rows_ += next.tokens;
  }

  std::vector<PackedSequence> finish() {
    if (!families_.empty()) close();
    return std::move(packed_);
  }

 private:
  // A group joins its neighbours where that leaves fewer rows, although it shortens their stem.
  bool joins(const Measured& next) {
    Family& family = families_.back();
    const auto stem = static_cast<std::size_t>(common_length(family.stem, next.trunk));
    const std::int64_t rows = Family::rows(family.groups.size() + 1, stem, family.tokens + next.tokens);
    const std::int64_t added = rows - family.rows();
    if (added >= next.tokens || rows_ + added > batch_tokens_) return false;
    family.groups.push_back(next.group);
    family.stem = family.stem.first(stem);
    family.tokens += next.tokens;
    rows_ += added;
    return true;
  }

  void close() {
    PackedSequence& sequence = packed_.emplace_back();
    for (const Family& family : families_) {
      const bool shared = family.groups.size() > 1;
      pack_groups(all_, family.groups, shared ? static_cast<std::int64_t>(family.stem.size()) : 0, sequence);
    }
    families_.clear();
    rows_ = 0;
  }

  const BranchedRequests& all_;
  std::int64_t batch_tokens_;
  std::vector<PackedSequence> packed_;
  std::vector<Family> families_;  // of the sequence that is open
  std::int64_t rows_ = 0;         // of all of them
};

}  // namespace

void pack_groups(const BranchedRequests& all, std::span<const RequestGroup> groups, std::int64_t stem_length,
                 PackedSequence& packed) {
  const auto stem_size = static_cast<std::size_t>(stem_length);
  const Tokens stem = input_of(all.requests[groups.front().first]).first(stem_size);
  const std::vector<RowRange> behind_stem = joined({}, add_segment(stem, {}, packed));
  for (const RequestGroup& group : groups) {
    const std::span<const ScoreRequest> requests = requests_of(all, group);
    const Tokens trunk = trunk_of(requests);
    const std::vector<RowRange> behind_trunk =
        joined(behind_stem, add_segment(trunk.subspan(stem_size), behind_stem, packed));
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const RowRange branch = add_segment(input_of(requests[i]).subspan(trunk.size()), behind_trunk, packed);
      const std::vector<RowRange> path = joined(behind_trunk, branch);
      PackedSequence::Scored& scored = packed.scored.emplace_back();
      scored.request = group.first + i;
      for (std::int64_t target = requests[i].first; target < std::ssize(requests[i].tokens); ++target) {
        scored.rows.push_back(row_of(target - 1, path));
      }
    }
  }
}

std::vector<PackedSequence> pack_sequences(const BranchedRequests& all, std::span<const RequestGroup> groups,
                                           std::int64_t batch_tokens, bool freely) {
  std::vector<Measured> order = measured(all, groups);
  if (!freely) {
    std::stable_sort(order.begin(), order.end(),
                     [](const Measured& a, const Measured& b) { return a.tokens > b.tokens; });
    std::vector<PackedSequence> packed(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) pack_groups(all, {&order[i].group, 1}, 0, packed[i]);
    return packed;
  }
  std::stable_sort(order.begin(), order.end(), [](const Measured& a, const Measured& b) {
    return std::lexicographical_compare(a.trunk.begin(), a.trunk.end(), b.trunk.begin(), b.trunk.end());
  });
  Packer packer(all, batch_tokens);
  for (const Measured& next : order) packer.add(next);
  return packer.finish();
}

std::int64_t computed_tokens(const BranchedRequests& requests, std::int64_t batch_tokens, bool freely) {
  if (!freely) return branched_tokens(requests);
  std::vector<RequestGroup> groups;
  std::size_t first = 0;
  for (const std::size_t count : requests.groups) {
    groups.push_back({first, count});
    first += count;
  }
  std::int64_t total = 0;
  for (const PackedSequence& sequence : pack_sequences(requests, groups, batch_tokens, true)) {
    total += static_cast<std::int64_t>(sequence.ids.size());
  }
  return total;
}

std::int64_t branched_tokens(const BranchedRequests& requests) {
  std::int64_t total = 0;
  std::size_t first = 0;
  for (const std::size_t count : requests.groups) {
    total += tokens_of(requests_of(requests, {first, count}));
    first += count;
  }
  return total;
}

}  // namespace lowbit
