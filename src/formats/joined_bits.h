#pragma once

#include <cstdint>
#include <span>

namespace lowbit {

/// The bits that any of the values has: whether all of them fit a width, in one look.
[[nodiscard]] unsigned joined_bits(std::span<const std::uint8_t> values);

}  // namespace lowbit
