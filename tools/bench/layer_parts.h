#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "quantization/solvers/column_plan.h"
#include "quantization/solvers/column_sweep.h"

// What solving a layer consists of, each part by itself, on the CPU and on another device.
namespace lowbit::bench {

struct LayerShape {
  std::int64_t out = 0;
  std::int64_t in = 0;
};

struct SolverOptions {
  int bits = 4;
  std::int64_t group = 64;
  std::int64_t block = 128;
  int runs = 5;
  std::int64_t tokens = 8192;
  at::Device device = at::kCPU;
};

[[nodiscard]] at::Tensor normal_numbers(std::int64_t rows, std::int64_t columns, const std::string& stream);
[[nodiscard]] SweepRequest make_request(const at::Tensor& weight, const at::Tensor& upper, const ColumnPlan& plan,
                                        const SolverOptions& options, GroupSource source);
[[nodiscard]] double seconds_of(const std::function<void()>& body);

/// Prints the seconds of each part on the CPU and, where it is another one, on `options.device`, whose results are then
/// held against the CPU's and against each other. Throws `kData` when they do not agree.
void measure_parts(const LayerShape& shape, const SolverOptions& options);

}  // namespace lowbit::bench
