#pragma once

#include <string_view>

#include "lowbit/base/export.h"
#include "lowbit/containers/tensor_entry.h"

namespace lowbit LOWBIT_EXPORT {

/// The types lowbit computes in or keeps tensors in.
enum class DType { kFloat32, kFloat64, kFloat16, kBFloat16, kInt8, kUInt8, kInt16, kInt32, kInt64, kBool, kFloat8E4M3, kFloat8E5M2 };

[[nodiscard]] std::string_view dtype_name(DType type);  ///< "float32", "bfloat16", ...
[[nodiscard]] int dtype_bytes(DType type);

}  // namespace lowbit
