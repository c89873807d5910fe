#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lowbit/text/tokenizer.h"
#include "text/slot_table.h"

namespace lowbit {

/// Lets a map keyed by strings be searched by views.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};
template <typename Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

/// Pieces and their ids, one to one. Ids may leave gaps, which cost no memory: a hostile file may name any id.
class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) noexcept = default;
  Vocabulary& operator=(Vocabulary&&) noexcept = default;
  [[nodiscard]] Vocabulary copy() const { return *this; }

  /// Throws `kData`, naming the piece, when it or its id is taken, or the id is negative or beyond reason.
  void add(std::string_view piece, std::int64_t id, std::string_view origin);

  /// One more than the highest id.
  [[nodiscard]] std::int64_t size() const { return size_; }
  [[nodiscard]] std::optional<TokenId> find(std::string_view piece) const;
  /// Whether `test` holds for one of the pieces.
  [[nodiscard]] bool any(bool (*test)(std::string_view)) const;
  /// Null for an id in a gap; valid until the next piece is added. Throws `kData` for one outside 0..size()-1.
  [[nodiscard]] const std::string* piece(TokenId id) const;

 private:
  struct Entry {
    std::string piece;
    TokenId id;
  };
  Vocabulary(const Vocabulary&) = default;
  [[nodiscard]] std::uint32_t place_of(std::string_view piece) const;
  [[nodiscard]] std::uint32_t place_of(TokenId id) const;

  std::vector<Entry> entries_;  // in the order in which they were added
  SlotTable by_piece_;
  SlotTable by_id_;
  std::int64_t size_ = 0;
};

}  // namespace lowbit
