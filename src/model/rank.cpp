#include "model/ranking.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

// In this order: larger logits first, equal ones by their ids.
bool stands_before(const RankedToken& a, const RankedToken& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

bool is_finite(float logit) { return (std::bit_cast<std::uint32_t>(logit) & 0x7FFFFFFFU) < 0x7F800000U; }

struct PartSummary {
  float largest;
  bool finite;
};

// In lanes, so that the compiler can keep them in vectors.
PartSummary summary_of(std::span<const float> part) {
  constexpr std::size_t kLanes = 8;
  std::array<float, kLanes> largest;
  largest.fill(-std::numeric_limits<float>::infinity());
  std::array<std::uint32_t, kLanes> damaged{};
  const auto add = [&](std::size_t lane, float logit) {
    largest[lane] = logit > largest[lane] ? logit : largest[lane];
    damaged[lane] |= is_finite(logit) ? 0U : 1U;
  };
  std::size_t i = 0;
  for (; i + kLanes <= part.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) add(lane, part[i + lane]);
  }
  for (; i < part.size(); ++i) add(0, part[i]);
  return {*std::ranges::max_element(largest), *std::ranges::max_element(damaged) == 0};
}

}  // namespace

void Ranking::restart(std::size_t count) {
  count_ = count;
  kept_.clear();
  kept_.reserve(count);
  damaged_ = {-1, 0};
}

void Ranking::take(std::int64_t first, std::span<const float> part) {
  const PartSummary summary = summary_of(part);
  const std::scoped_lock lock(mutex_);
  if (!summary.finite) return note_damage(first, part);
  if (full() && summary.largest < kept_.front().logit) return;
  for (std::size_t i = 0; i < part.size(); ++i) {
    const RankedToken token{static_cast<TokenId>(first + static_cast<std::int64_t>(i)), part[i]};
    if (full() && !stands_before(token, kept_.front())) continue;
    if (full()) {
      std::ranges::pop_heap(kept_, stands_before);
      kept_.pop_back();
    }
    kept_.push_back(token);
    std::ranges::push_heap(kept_, stands_before);
  }
}

std::span<const RankedToken> Ranking::finish() {
  if (damaged_.id >= 0) {
    fail(ErrorCode::kData, "a logit is {}; the model's weights or activations overflow", damaged_.logit);
  }
  std::ranges::sort(kept_, stands_before);
  return kept_;
}

// Remembers the first in the order of ids.
void Ranking::note_damage(std::int64_t first, std::span<const float> part) {
  const auto found = std::ranges::find_if_not(part, is_finite);
  const auto id = static_cast<TokenId>(first + (found - part.begin()));
  if (damaged_.id < 0 || id < damaged_.id) damaged_ = {id, *found};
}

void RankingSink::restart(std::int64_t count) {
  if (count < 1) fail(ErrorCode::kInternal, "rank: the {} largest logits, expected at least 1", count);
  for (Ranking& row : rows_) row.restart(static_cast<std::size_t>(count));
}

void RankingSink::finish(std::vector<std::vector<RankedToken>>& rows) {
  rows.resize(rows_.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::span<const RankedToken> ranked = rows_[i].finish();
    rows[i].assign(ranked.begin(), ranked.end());
  }
}

std::vector<std::vector<RankedToken>> Model::rank(const at::Tensor& normalised, std::int64_t count) const {
  RankingSink sink(normalised.size(0));
  sink.restart(std::min(count, architecture().vocabulary));
  head_parts(normalised, sink);
  std::vector<std::vector<RankedToken>> rows;
  sink.finish(rows);
  return rows;
}

}  // namespace lowbit
