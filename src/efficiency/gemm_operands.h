#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "lowbit/efficiency/gemm.h"
#include "lowbit/kernels/api.h"

// What `bench gemm` multiplies: random data, since zeros and denormal numbers are multiplied faster or slower.
namespace lowbit {

/// Weights that are read from memory each time are so many that they fill this.
inline constexpr std::int64_t kColdBytes = std::int64_t{256} << 20;
inline std::int64_t copies_of(std::int64_t bytes, bool cold) { return cold ? kColdBytes / bytes + 2 : 1; }

[[nodiscard]] std::vector<float> random_numbers(std::int64_t count, std::string_view name);
[[nodiscard]] at::Tensor random_matrix(std::int64_t rows, std::int64_t columns, std::string_view name);
[[nodiscard]] kernels::PackedWeight random_weight(const GemmBenchOptions& options, int bits, std::int64_t group,
                                                  kernels::ScaleStorage storage = kernels::ScaleStorage::kFloat16);
/// "int8, 4 bits, group 128"
[[nodiscard]] std::string product_name(std::string_view arithmetic, int bits, std::int64_t group);

}  // namespace lowbit
