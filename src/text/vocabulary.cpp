#include "text/vocabulary.h"

#include <algorithm>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

// The largest vocabularies have some 260000 tokens; the table costs 8 bytes an id.
constexpr std::int64_t kMaxId = (std::int64_t{1} << 22) - 1;

}  // namespace

void Vocabulary::add(std::string_view piece, std::int64_t id, std::string_view origin) {
  if (id < 0 || id > kMaxId) {
    fail(ErrorCode::kData, "{}: token '{}' has the id {}, expected 0 to {}", origin, piece, id, kMaxId);
  }
  const auto index = static_cast<std::size_t>(id);
  if (index < pieces_.size() && pieces_[index] != nullptr) {
    fail(ErrorCode::kData, "{}: tokens '{}' and '{}' have the same id {}", origin, *pieces_[index], piece, id);
  }
  const auto [entry, inserted] = ids_.emplace(piece, static_cast<TokenId>(id));
  if (!inserted) {
    fail(ErrorCode::kData, "{}: token '{}' has two ids, {} and {}", origin, piece, entry->second, id);
  }
  if (index >= pieces_.size()) pieces_.resize(index + 1, nullptr);
  pieces_[index] = &entry->first;
}

Vocabulary Vocabulary::copy() const {
  Vocabulary result;
  result.ids_ = ids_;
  result.pieces_.resize(pieces_.size(), nullptr);
  for (const auto& [piece, id] : result.ids_) result.pieces_[static_cast<std::size_t>(id)] = &piece;
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
  return pieces_[static_cast<std::size_t>(id)];
}

}  // namespace lowbit
