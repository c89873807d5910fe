#pragma once

#include <c10/core/Device.h>

#include <string_view>

#include "lowbit/base/export.h"
#include "lowbit/fwd.h"
#include "lowbit/tensor/dtype.h"

namespace lowbit LOWBIT_EXPORT {

/// "cpu", "cuda" or "cuda:<number>" as a device that is there. LibTorch's CUDA library is loaded when it is first asked
/// for. Throws `kConfig` for another text, `kDevice` naming the remedy when the device cannot be used.
[[nodiscard]] at::Device compute_device(std::string_view name);

/// The tensor in that type on that device: itself when it is there already.
[[nodiscard]] at::Tensor to_place(const at::Tensor& tensor, DType type, at::Device device);

}  // namespace LOWBIT_EXPORT
