#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "lowbit/base/export.h"
#include "lowbit/kernels/api.h"

namespace lowbit LOWBIT_EXPORT {

/// LibTorch's pool as the threads of the kernels.
[[nodiscard]] kernels::Executor pool_executor();

/// y = x W^T + b on a packed matrix: x [..., in] -> [..., out], both in the type of x (float32 or bfloat16; sums are as
/// `arithmetic` says). `bias` [out] or undefined, `backend` as in `kernels::Product`.
[[nodiscard]] at::Tensor packed_linear(const at::Tensor& x, const kernels::PackedWeight& weight, const at::Tensor& bias,
                                       kernels::Arithmetic arithmetic, std::string_view backend = {});

/// The same for x [rows, in], each part of a row handed to `taker`, in float32 whatever the type of x: the outputs are
/// never all in memory.
void packed_linear_parts(const at::Tensor& x, const kernels::PackedWeight& weight, const at::Tensor& bias,
                         kernels::Arithmetic arithmetic, kernels::OutputTaker taker);

/// LibTorch's own products, as its users call them: what packed ones are measured against. x [m, k], weight [n, k].
[[nodiscard]] at::Tensor library_linear(const at::Tensor& x, const at::Tensor& weight);
/// Of int8 to int32, without scales.
[[nodiscard]] at::Tensor library_int8_product(const at::Tensor& x, const at::Tensor& weight);

}  // namespace lowbit
