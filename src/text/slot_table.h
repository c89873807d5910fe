#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lowbit {

/// Finds places in a list by the hashes of what lies there, by open addressing in one array: vocabularies are searched
/// for every character of a text, and loaded by every process.
class SlotTable {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  SlotTable() : slots_(16) {}

  /// The place of this hash for which `same(place)` holds, or kNone.
  template <typename Same>
  [[nodiscard]] std::uint32_t find(std::size_t hash, const Same& same) const {
    const std::uint32_t own = fold(hash);
    for (std::size_t at = own & mask();; at = (at + 1) & mask()) {
      const Slot& slot = slots_[at];
      if (slot.place == kNone || (slot.hash == own && same(slot.place))) return slot.place;
    }
  }

  /// A place below 2^31 that is not there yet.
  void add(std::size_t hash, std::uint32_t place) {
    if (2 * ++count_ > slots_.size()) grow();
    insert({fold(hash), place});
  }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t place = kNone;
  };

  static std::uint32_t fold(std::size_t hash) { return static_cast<std::uint32_t>(hash ^ (hash >> 32)); }
  [[nodiscard]] std::size_t mask() const { return slots_.size() - 1; }

  void insert(const Slot& slot) {
    std::size_t at = slot.hash & mask();
    while (slots_[at].place != kNone) at = (at + 1) & mask();
    slots_[at] = slot;
  }

  void grow() {
    std::vector<Slot> before(2 * slots_.size());
    before.swap(slots_);
    for (const Slot& slot : before) {
      if (slot.place != kNone) insert(slot);
    }
  }

  std::vector<Slot> slots_;  // a power of two, at least half of them free
  std::size_t count_ = 0;
};

}  // namespace lowbit
