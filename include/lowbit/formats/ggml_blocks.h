#pragma once

#include <cstddef>
#include <span>

#include "lowbit/base/export.h"
#include "lowbit/containers/tensor_entry.h"

namespace lowbit LOWBIT_EXPORT {

/// Decodes the data of a GGUF tensor, bit for bit as the reference decoder of ggml does in float32: F32, F16, BF16,
/// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, Q8_K, TQ1_0, TQ2_0 and MXFP4. `data` need not be aligned. Scales that
/// are infinite or NaN give values that are so.
///
///   std::vector<float> values(entry.elements());
///   dequantize_blocks(entry.type, entry.data, values);
///
/// Throws `kUnsupported`, naming the type, for all others, and `kData` when the sizes do not fit each other. Runs on
/// the calling thread; any run of whole blocks can be decoded by itself, so callers may split the work.
void dequantize_blocks(StorageType type, std::span<const std::byte> data, std::span<float> out);

/// The reference encoder (round to nearest) of Q4_0, Q4_1, Q5_0, Q5_1 or Q8_0, bit for bit. Throws `kUnsupported` for
/// other types, `kData` when the sizes do not fit each other, a value is not finite, or a block's scale or minimum is
/// too large for float16.
void quantize_blocks(StorageType type, std::span<const float> values, std::span<std::byte> out);

}  // namespace LOWBIT_EXPORT
