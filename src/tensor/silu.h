#pragma once

#include <cstdint>

namespace lowbit {

/// out = silu(x) for `count` numbers, as x e / (1 + e) with e = exp(-|x|) and no e in the numerator for x >= 0: an
/// element's bits are a function of the element alone. Only where `decode_operations_available()`.
void silu_numbers(const float* x, std::int64_t count, float* out);
/// gate = silu(gate) * up.
void silu_product_numbers(float* gate, const float* up, std::int64_t count);

}  // namespace lowbit
