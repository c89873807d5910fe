#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/model/block.h"

namespace lowbit {

/// Makes the cache of a layer.
using KvCacheMaker =
    std::function<std::unique_ptr<KvCachePolicy>(const Architecture& architecture, std::int64_t layer)>;

/// Makes again what an artifact keeps to act while its model runs. Methods are not known here: whoever knows them fills
/// this in (`runtime_readers` of quantization) and hands it to `Model::open`. Without it such artifacts are refused.
struct RuntimeReaders {
  /// `product` is the bare one of the linear. Throws `kUnsupported` for a name it does not know, `kData` for settings
  /// or tensors that do not fit.
  std::function<std::shared_ptr<const LinearExecution>(const RuntimeRecord& record, const LinearOp& product)> execution;
  std::function<KvCacheMaker(const RuntimeRecord& record)> kv_cache;
};

/// What the records of a linear stand for, in their order. Throws `kUnsupported` when `readers` have no `execution`.
[[nodiscard]] LOWBIT_EXPORT std::vector<std::shared_ptr<const LinearExecution>> make_executions(
    const std::vector<RuntimeRecord>& records, const LinearOp& product, const RuntimeReaders& readers);

}  // namespace lowbit
