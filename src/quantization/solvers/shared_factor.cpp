#include "quantization/solvers/shared_factor.h"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/hash.h"
#include "lowbit/quantization/shared_tensors.h"
#include "lowbit/tensor/factory.h"
#include "quantization/solvers/inverse_factor.h"

namespace lowbit {
namespace {

std::string factor_key(const CleanDiagonal& hessian, const ColumnPlan& plan, double damping) {
  Hasher hasher;
  hasher.add(damping).add(hessian.mean).add_bytes(plan.column.data(), plan.column.size() * sizeof(std::int64_t));
  return "inverse factor/" + hasher.finish().hex();
}

}  // namespace

at::Tensor shared_inverse_factor(const LinearProblem& problem, const CleanDiagonal& hessian, const ColumnPlan& plan,
                                 double damping) {
  using Report = std::function<void(std::string_view, double)>;
  const auto factor = [&](const Report& report) {
    const auto fresh = [&] { return ordered_hessian(*problem.statistics, hessian.values, plan, problem.device); };
    return to_dtype(damped_inverse_factor(fresh, hessian.mean, damping, problem.layer, report), DType::kFloat32);
  };
  if (problem.shared == nullptr) return factor(problem.report);

  const std::string key = factor_key(hessian, plan, damping);
  std::vector<double> raised;
  const auto note = [&](std::string_view, double share) { raised.push_back(share); };
  const at::Tensor upper = problem.shared->get(key, [&] { return factor(note); });
  const at::Tensor shares =
      problem.shared->get(key + "/damping", [&] { return tensor_of(std::span<const double>(raised)); });
  for (const double share : values_of<double>(shares)) {
    if (problem.report) problem.report("damping raised", share);
  }
  return upper;
}

}  // namespace lowbit
