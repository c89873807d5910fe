#include "text/vocabulary.h"

#include <algorithm>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

// The largest vocabularies have some 260000 tokens.
constexpr std::int64_t kMaxId = (std::int64_t{1} << 22) - 1;

std::size_t slot_hash(std::string_view piece) { return std::hash<std::string_view>{}(piece); }
// 2^64 / golden ratio: spreads neighbouring ids.
std::size_t slot_hash(TokenId id) { return static_cast<std::size_t>(id) * 0x9E3779B97F4A7C15U; }

}  // namespace

std::uint32_t Vocabulary::place_of(std::string_view piece) const {
  return by_piece_.find(slot_hash(piece), [&](std::uint32_t place) { return entries_[place].piece == piece; });
}

std::uint32_t Vocabulary::place_of(TokenId id) const {
  return by_id_.find(slot_hash(id), [&](std::uint32_t place) { return entries_[place].id == id; });
}

void Vocabulary::add(std::string_view piece, std::int64_t id, std::string_view origin) {
  if (id < 0 || id > kMaxId) {
    fail(ErrorCode::kData, "{}: token '{}' has the id {}, expected 0 to {}", origin, piece, id, kMaxId);
  }
  const auto token = static_cast<TokenId>(id);
  if (const std::uint32_t taken = place_of(token); taken != SlotTable::kNone) {
    fail(ErrorCode::kData, "{}: tokens '{}' and '{}' have the same id {}", origin, entries_[taken].piece, piece, id);
  }
  if (const std::uint32_t taken = place_of(piece); taken != SlotTable::kNone) {
    fail(ErrorCode::kData, "{}: token '{}' has two ids, {} and {}", origin, piece, entries_[taken].id, id);
  }
  const auto place = static_cast<std::uint32_t>(entries_.size());
  entries_.push_back({std::string(piece), token});
  by_piece_.add(slot_hash(piece), place);
  by_id_.add(slot_hash(token), place);
  size_ = std::max(size_, id + 1);
}

std::optional<TokenId> Vocabulary::find(std::string_view piece) const {
  const std::uint32_t place = place_of(piece);
  return place == SlotTable::kNone ? std::nullopt : std::optional(entries_[place].id);
}

bool Vocabulary::any(bool (*test)(std::string_view)) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return test(entry.piece); });
}

const std::string* Vocabulary::piece(TokenId id) const {
  if (id < 0 || id >= size()) {
    fail(ErrorCode::kData, "token id {} is outside the vocabulary, expected 0 to {}", id, size() - 1);
  }
  const std::uint32_t place = place_of(id);
  return place == SlotTable::kNone ? nullptr : &entries_[place].piece;
}

}  // namespace lowbit
