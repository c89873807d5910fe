#pragma once

#include "kernels/kernel.h"

namespace lowbit::kernels {

void avx2_direct_int8(const Call& call);        // up to 4 tokens, up to 4 bits
void avx2_direct_int8_wide(const Call& call);   // up to 2 tokens, 8 bits
void avx2_direct_int16(const Call& call);       // up to 2 tokens, up to 4 bits
void avx2_direct_int16_wide(const Call& call);  // up to 2 tokens, 8 bits
void avx2_panel_int8(const Call& call);         // up to 4 bits
void avx2_panel_int8_wide(const Call& call);
void avx2_panel_int16(const Call& call);
void avx2_panel_float32(const Call& call);
void avx2_direct_two_level(const Call& call);  // up to 4 tokens
void avx2_panel_two_level(const Call& call);
void avx2_panel_bfloat16(const Call& call);

}  // namespace lowbit::kernels
