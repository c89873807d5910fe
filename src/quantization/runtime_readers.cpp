#include "lowbit/model/runtime_readers.h"

#include <memory>
#include <utility>

#include "lowbit/base/error.h"
#include "lowbit/quantization/recipe.h"

namespace lowbit {
namespace {

template <typename Interface>
std::shared_ptr<const Interface> make(const Registry<Interface>& registry, const RuntimeRecord& record) {
  if (!registry.contains(record.name)) {
    fail(ErrorCode::kUnsupported, "no {} is registered as '{}'{}; load the plugin that brings it", registry.family(),
         record.name, suggestion(record.name, registry.names()));
  }
  ConfigProblems problems;
  std::shared_ptr<const Interface> made =
      registry.create(record.name, record.settings.mark(), record.settings, problems);
  try {
    problems.throw_if_any();
  } catch (const Error& error) {
    fail(ErrorCode::kData, "settings of '{}': {}", record.name, error.what());  // a file's mistake, not the user's
  }
  return made;
}

}  // namespace

RuntimeReaders runtime_readers(const QuantizationRegistries& registries) {
  const auto executions = std::make_shared<const Registry<ExecutionReader>>(registries.execution_readers);
  const auto caches = std::make_shared<const Registry<KvCacheStep>>(registries.kv_cache_steps);
  RuntimeReaders readers;
  readers.execution = [executions](const RuntimeRecord& record, const LinearOp& product) {
    return make(*executions, record)->read(record.tensors, product);
  };
  readers.kv_cache = [caches](const RuntimeRecord& record) -> KvCacheMaker {
    return [step = make(*caches, record)](const Architecture& architecture, std::int64_t layer) {
      return step->make(architecture, layer);
    };
  };
  return readers;
}

}  // namespace lowbit
