#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "lowbit/base/cancellation.h"
#include "lowbit/formats/quantized_weight.h"
#include "quantization/solvers/column_plan.h"

namespace lowbit {

/// Where the parameters of a group come from.
enum class GroupSource {
  kFresh,  ///< its weights with every update of the columns before it
  kBlock,  ///< its weights as of the last block boundary, as the reference program reads them
  kGiven,  ///< fixed before the sweep
};

/// Where the sweep stands: some rows, and neighbours in the order that share a group.
struct SweepPlace {
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::int64_t begin = 0;  ///< first position
  std::int64_t end = 0;
  std::int32_t group = 0;
};

/// One column of some rows. `codes` and `values`, what stands for the weights, are to be filled in.
struct SweepColumn {
  std::span<const float> weights;  ///< with every update of the columns before
  std::span<const float> scales;
  std::span<const float> zeros;
  std::span<std::uint8_t> codes;
  std::span<float> values;
};

/// One column of all rows on a device, tensors [out]. `codes`, of any type of numbers, and `values`, float32, are to be
/// filled in.
struct DeviceColumn {
  at::Tensor weights;  ///< float32, with every update of the columns before
  at::Tensor scales;   ///< float32
  at::Tensor zeros;    ///< float32
  at::Tensor codes;
  at::Tensor values;
};

struct SweepRequest {
  at::Tensor weight;  ///< float32 [out, in], columns in the order of `plan`
  at::Tensor upper;   ///< float32 [in, in]: U with U^T U = H^-1, in the same order
  /// float32 [in, in], strictly upper triangular, or undefined: every column w_j, unrounded, is added times row j to
  /// the columns behind it (GPTAQ).
  at::Tensor carried;
  bool carry_rounded = false;  ///< across block boundaries `carried` multiplies the rounded columns instead
  const ColumnPlan* plan = nullptr;
  GridSpec grid;  ///< bound to the weight
  GroupSource source = GroupSource::kFresh;
  std::int64_t block = 128;  ///< columns between two updates of the rest
  GroupParameters given;     ///< [out, groups], for `kGiven`
  /// Parameters of one group's columns [rows, columns], else.
  std::function<GroupParameters(const at::Tensor&, const SweepPlace&)> fit;
  bool fits_extremes = false;  ///< `fit` finds the same for the least and the largest of each row alone, [rows, 2]
  /// Instead of rounding to the nearest number of the grid.
  std::function<void(const SweepPlace&, const SweepColumn&)> round;
  /// The same of the column at `position`, for other devices than the CPU; given where `round` is.
  std::function<void(std::int64_t position, DeviceColumn&)> round_on_device;
  at::Device device = at::kCPU;  ///< where columns are swept, and `upper` and `carried` lie; all else is in main memory
  bool allow_kernel = true;      ///< on it; else LibTorch's operations alone sweep there (solvers/device_sweep.h)
  const Cancellation* cancellation = nullptr;
};

struct SweepResult {
  at::Tensor codes;   ///< uint8 [out, in], columns in the order of the plan
  at::Tensor scales;  ///< float32 [out, groups]
  at::Tensor zeros;   ///< float32 [out, groups]; undefined for codebooks
  std::optional<NestedScales> nested_scales;
  std::optional<NestedScales> nested_zeros;
  /// sum over columns of ((w - q) / U_jj)^2 with w the updated weight, float64 [out]: equals (w0 - q) H (w0 - q)^T
  /// unless columns are carried.
  at::Tensor loss;
};

/// GPTQ's greedy pass (Frantar et al., arXiv 2210.17323, algorithm 1): column after column is rounded and its error
/// spread over the columns not yet rounded. Rows do not see each other: blocks of them run in parallel, each through
/// all columns while it stays in the cache. With `kFresh` and `kGiven` the block size changes no bit of the result. On
/// another device than the CPU, `sweep_on_device` does the work (solvers/device_sweep.h).
[[nodiscard]] SweepResult sweep_columns(const SweepRequest& request);

/// What a sweep has found, columns back in their places.
[[nodiscard]] QuantizedWeight as_weight(SweepResult solved, const SweepRequest& request);

}  // namespace lowbit
