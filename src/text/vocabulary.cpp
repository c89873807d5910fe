#include "text/vocabulary.h"

#include <algorithm>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

// The largest vocabularies have some 260000 tokens.
constexpr std::int64_t kMaxId = (std::int64_t{1} << 22) - 1;

}  // namespace

void Vocabulary::add(std::string_view piece, std::int64_t id, std::string_view origin) {
  if (id < 0 || id > kMaxId) {
    fail(ErrorCode::kData, "{}: token '{}' has the id {}, expected 0 to {}", origin, piece, id, kMaxId);
  }
  const auto token = static_cast<TokenId>(id);
  if (const auto taken = pieces_.find(token); taken != pieces_.end()) {
    fail(ErrorCode::kData, "{}: tokens '{}' and '{}' have the same id {}", origin, *taken->second, piece, id);
  }
  const auto [entry, inserted] = ids_.emplace(piece, token);
  if (!inserted) {
    fail(ErrorCode::kData, "{}: token '{}' has two ids, {} and {}", origin, piece, entry->second, id);
  }
  pieces_.emplace(token, &entry->first);
  size_ = std::max(size_, id + 1);
}

Vocabulary Vocabulary::copy() const {
  Vocabulary result;
  result.ids_ = ids_;
  result.size_ = size_;
  result.pieces_.reserve(pieces_.size());
  for (const auto& [piece, id] : result.ids_) result.pieces_.emplace(id, &piece);
  return result;
}

std::optional<TokenId> Vocabulary::find(std::string_view piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

bool Vocabulary::any(bool (*test)(std::string_view)) const {
  return std::any_of(ids_.begin(), ids_.end(), [&](const auto& entry) { return test(entry.first); });
}

const std::string* Vocabulary::piece(TokenId id) const {
  if (id < 0 || id >= size()) {
    fail(ErrorCode::kData, "token id {} is outside the vocabulary, expected 0 to {}", id, size() - 1);
  }
  const auto found = pieces_.find(id);
  return found == pieces_.end() ? nullptr : found->second;
}

}  // namespace lowbit
