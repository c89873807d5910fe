#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace lowbit {

/// The bits that any of the values has: whether all of them fit a width, in one look.
[[nodiscard]] inline unsigned joined_bits(std::span<const std::uint8_t> values) {
  std::uint64_t words = 0;
  std::size_t i = 0;
  for (; i + sizeof words <= values.size(); i += sizeof words) {
    std::uint64_t word = 0;
    std::memcpy(&word, values.data() + i, sizeof word);
    words |= word;
  }
  words |= words >> 32;
  words |= words >> 16;
  words |= words >> 8;
  auto joined = static_cast<unsigned>(words & 0xFF);
  for (; i < values.size(); ++i) joined |= values[i];
  return joined;
}

}  // namespace lowbit
