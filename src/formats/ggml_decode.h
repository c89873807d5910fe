#pragma once

#include "formats/ggml_layouts.h"
#include "lowbit/base/half.h"

namespace lowbit {

inline float to_float(HalfBytes half) { return half_to_float(static_cast<std::uint16_t>(half.low | (half.high << 8))); }

// One block each; `y` has room for its elements. Products are taken in the order of the reference, so that the float32
// results agree bit for bit.
void decode_block(const BlockQ2_K& block, float* y);
void decode_block(const BlockQ3_K& block, float* y);
void decode_block(const BlockQ4_K& block, float* y);
void decode_block(const BlockQ5_K& block, float* y);
void decode_block(const BlockQ6_K& block, float* y);
void decode_block(const BlockQ8_K& block, float* y);
void decode_block(const BlockTQ1_0& block, float* y);
void decode_block(const BlockTQ2_0& block, float* y);

}  // namespace lowbit
