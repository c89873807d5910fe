#include "text/character_map.h"

#include <cstdint>
#include <cstring>

namespace lowbit {
namespace {

// The units of Darts-clone's double array. From unit i a byte c leads to unit i ^ offset ^ c, which belongs to it when
// its label is c. Bit 8 says that a value, the position of a text, stands in unit i ^ offset. Values have bit 31 set,
// by which they are no byte's label.
constexpr std::uint32_t kIsValue = std::uint32_t{1} << 31;

constexpr std::uint64_t offset_of(std::uint32_t unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); }
constexpr bool has_value(std::uint32_t unit) { return ((unit >> 8) & 1) != 0; }

std::uint32_t unit_at(std::string_view units, std::uint64_t index) {
  std::uint32_t unit = 0;
  std::memcpy(&unit, units.data() + index * sizeof unit, sizeof unit);
  return unit;
}

// Whatever byte follows the unit at `index`, and its value, must lie inside.
bool stays_inside(std::string_view units, std::uint64_t count, std::uint64_t index, std::size_t text_bytes) {
  const std::uint32_t unit = unit_at(units, index);
  const std::uint64_t next = index ^ offset_of(unit);
  if ((next | 0xFF) >= count) return false;
  return !has_value(unit) || (unit_at(units, next) & ~kIsValue) < text_bytes;
}

}  // namespace

bool is_sound_character_map(std::string_view map) {
  if (map.empty()) return true;
  std::uint32_t trie_bytes = 0;
  if (map.size() < sizeof trie_bytes) return false;
  std::memcpy(&trie_bytes, map.data(), sizeof trie_bytes);
  map.remove_prefix(sizeof trie_bytes);
  if (trie_bytes >= map.size()) return false;
  const std::string_view units = map.substr(0, trie_bytes);
  const std::string_view texts = map.substr(trie_bytes);  // each ends in a null
  const std::uint64_t count = trie_bytes / sizeof(std::uint32_t);
  if (count == 0 || texts.back() != '\0') return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    const bool reachable = i == 0 || (unit_at(units, i) & kIsValue) == 0;
    if (reachable && !stays_inside(units, count, i, texts.size())) return false;
  }
  return true;
}

}  // namespace lowbit
