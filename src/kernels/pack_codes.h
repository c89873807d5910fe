#pragma once

#include <cstdint>

namespace lowbit::kernels {

/// Codes of sixteen rows, `rows[lane]` [steps][32], in the layout of tiles.h: `steps` steps side by side at `target`,
/// written whole.
void pack_codes(const std::uint8_t* const* rows, std::int64_t steps, int packed_bits, std::uint8_t* target);

}  // namespace lowbit::kernels
