#pragma once

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

class WeightSource;

/// Throws `kConfig`, naming the first size that differs, when `quantized` is no quantized `base`: layers, widths, heads
/// or vocabulary. What recipes may change (rotations, the head's tying) may differ.
void check_made_of(const WeightSource& quantized, const WeightSource& base);

}  // namespace LOWBIT_EXPORT
