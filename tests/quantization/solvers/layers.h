#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <cmath>
#include <string>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/calibration/statistics.h"
#include "lowbit/quantization/solver.h"
#include "lowbit/tensor/factory.h"
#include "quantization/solvers/column_plan.h"

// Small layers for the tests of the solvers.
namespace lowbit::testing {

inline at::Tensor normal_matrix(std::int64_t rows, std::int64_t columns, const std::string& stream) {
  const Random random(1, stream);
  at::Tensor result = make_empty({rows, columns}, DType::kFloat32);
  std::uint64_t counter = 0;
  for (float& value : mutable_values_of<float>(result)) value = static_cast<float>(random.normal(counter++));
  return result;
}

/// Inputs whose channels depend on each other and differ in size by up to e^2.
inline at::Tensor correlated_inputs(std::int64_t tokens, std::int64_t channels, const std::string& stream) {
  const at::Tensor mix = normal_matrix(channels, channels, stream + "/mix") * 0.3 + make_eye(channels, DType::kFloat32);
  at::Tensor size = normal_matrix(1, channels, stream + "/size").exp();
  return (normal_matrix(tokens, channels, stream).matmul(mix) * size).contiguous();
}

inline at::Tensor matrix_of(const std::vector<std::vector<double>>& rows) {
  std::vector<at::Tensor> parts;
  for (const auto& row : rows) parts.push_back(tensor_of(std::span<const double>(row)));
  return stack_tensors(parts, 0);
}

inline Statistics hessian_statistics(const at::Tensor& inputs) {
  StatisticsNeeds needs;
  needs.hessian = true;
  Statistics statistics(inputs.size(1), needs);
  statistics.add(inputs);
  return statistics;
}

/// Of both streams, `inputs` being the quantized one.
inline Statistics cross_statistics(const at::Tensor& inputs, const at::Tensor& float_inputs) {
  StatisticsNeeds needs;
  needs.hessian = needs.cross = true;
  Statistics statistics(inputs.size(1), needs);
  statistics.add(inputs, float_inputs);
  return statistics;
}

struct Solved {
  QuantizedWeight weight;
  std::vector<SolverEvent> events;
};

/// What a solver makes of a weight, checked, with the events that it reported.
inline Solved solve(const WeightSolver& solver, const at::Tensor& weight, const Statistics* statistics = nullptr) {
  Solved solved;
  LinearProblem problem;
  problem.layer = "model.layers.0.mlp.up_proj";
  problem.weight = weight.clone();
  problem.statistics = statistics;
  problem.report = [&](std::string_view what, double value) {
    solved.events.push_back({problem.layer, std::string(what), value});
  };
  solved.weight = solver.solve(problem);
  solved.weight.check(problem.layer);
  return solved;
}

inline bool same_bits(const at::Tensor& a, const at::Tensor& b) { return a.equal(b); }

/// d H d^T of each row of the difference, float64 [rows].
inline at::Tensor row_losses(const at::Tensor& difference, const at::Tensor& hessian) {
  const at::Tensor d = to_dtype(difference, DType::kFloat64);
  return (d.matmul(hessian) * d).sum(1);
}

}  // namespace lowbit::testing
