#pragma once

#include <cstdint>
#include <vector>

#include "lowbit/text/tokenizer.h"

namespace lowbit {

/// (left id, right id) -> rank, by open addressing in one array: the inner loop of byte-pair encoding lives here.
class MergeTable {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  MergeTable() : MergeTable(0) {}
  explicit MergeTable(std::size_t count) {
    std::size_t capacity = 16;
    while (capacity < 2 * count) capacity *= 2;
    slots_.resize(capacity);
  }

  /// At most as many pairs as were announced. A pair that is there already gets the new rank.
  void set(TokenId left, TokenId right, std::uint32_t rank) {
    Slot& slot = slots_[index(left, right)];
    slot = {left, right, rank};
  }
  [[nodiscard]] std::uint32_t rank(TokenId left, TokenId right) const { return slots_[index(left, right)].rank; }

 private:
  struct Slot {
    TokenId left = -1;
    TokenId right = -1;
    std::uint32_t rank = kNone;
  };

  // Of the pair's slot, or of the free one where it would go.
  [[nodiscard]] std::size_t index(TokenId left, TokenId right) const {
    const std::size_t mask = slots_.size() - 1;
    std::uint64_t key =
        (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) | static_cast<std::uint32_t>(right);
    key *= 0x9E3779B97F4A7C15U;  // 2^64 / golden ratio: spreads neighbouring ids
    std::size_t at = (key ^ (key >> 32)) & mask;
    while (slots_[at].left != -1 && (slots_[at].left != left || slots_[at].right != right)) at = (at + 1) & mask;
    return at;
  }

  std::vector<Slot> slots_;
};

}  // namespace lowbit
