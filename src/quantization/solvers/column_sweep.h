#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

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

struct SweepRequest {
  at::Tensor weight;  ///< float32 [out, in], columns in the order of `plan`
  at::Tensor upper;   ///< float32 [in, in]: U with U^T U = H^-1, in the same order
  const ColumnPlan* plan = nullptr;
  GridSpec grid;  ///< an integer grid
  GroupSource source = GroupSource::kFresh;
  std::int64_t block = 128;                               ///< columns between two updates of the rest
  GroupParameters given;                                  ///< [out, groups], for `kGiven`
  std::function<GroupParameters(const at::Tensor&)> fit;  ///< of one group's columns [rows, columns], else
  const Cancellation* cancellation = nullptr;
};

struct SweepResult {
  at::Tensor codes;   ///< uint8 [out, in], columns in the order of the plan
  at::Tensor scales;  ///< float32 [out, groups]
  at::Tensor zeros;   ///< float32 [out, groups]
  /// sum over columns of ((w - q) / U_jj)^2 with w the updated weight, float64 [out]: equals (w0 - q) H (w0 - q)^T.
  at::Tensor loss;
};

/// GPTQ's greedy pass (Frantar et al., arXiv 2210.17323, algorithm 1): column after column is rounded and its error
/// spread over the columns not yet rounded. Rows do not see each other: blocks of them run in parallel, each through
/// all columns while it stays in the cache. With `kFresh` and `kGiven` the block size changes no bit of the result.
[[nodiscard]] SweepResult sweep_columns(const SweepRequest& request);

}  // namespace lowbit
