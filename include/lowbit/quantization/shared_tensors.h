#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// What solvers compute of statistics alone, while the linears that share these statistics are solved: the first one
/// computes, the others find it. So q, k and v factor their Hessian once. Several threads may ask.
///
///   const at::Tensor factor = problem.shared->get("my_solver/factor/0.01", [&] { return factorize(...); });
class SharedTensors {
 public:
  /// `key` names everything beside the statistics that the result of `make` depends on. Nobody writes into the result.
  /// What `make` throws leaves nothing behind.
  [[nodiscard]] at::Tensor get(const std::string& key, const std::function<at::Tensor()>& make);

 private:
  std::mutex mutex_;
  std::map<std::string, at::Tensor> known_;
};

}  // namespace LOWBIT_EXPORT
