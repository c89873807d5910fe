#include "lowbit/quantization/shared_tensors.h"

namespace lowbit {

at::Tensor SharedTensors::get(const std::string& key, const std::function<at::Tensor()>& make) {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(key);
  return found != known_.end() ? found->second : known_.emplace(key, make()).first->second;
}

}  // namespace lowbit
