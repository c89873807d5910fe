#include "formats/joined_bits.h"

#include "base/every_isa.h"

namespace lowbit {

LOWBIT_EVERY_ISA
unsigned joined_bits(std::span<const std::uint8_t> values) {
  std::uint8_t joined = 0;
  for (const std::uint8_t value : values) joined |= value;
  return joined;
}

}  // namespace lowbit
