#pragma once

#include <cstdint>
#include <memory>

#include "lowbit/base/export.h"
#include "lowbit/model/block.h"
#include "lowbit/model/weight_source.h"

namespace lowbit LOWBIT_EXPORT {

/// What `load_block` gives, but each linear is read from `weights` whenever it is asked for, so that one of them is in
/// memory at a time: for work on weights alone, without a forward pass. `weights` must outlive the block.
[[nodiscard]] std::shared_ptr<Block> load_block_lazily(const WeightSource& weights, std::int64_t index,
                                                       const ComputeOptions& options, const RuntimeReaders& readers);

}  // namespace LOWBIT_EXPORT
