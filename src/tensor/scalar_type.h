#pragma once

#include <c10/core/ScalarType.h>

#include "lowbit/base/error.h"
#include "lowbit/tensor/dtype.h"

namespace lowbit {

[[nodiscard]] c10::ScalarType scalar_type(DType type);
/// Throws `kInternal` for a type that lowbit does not use.
[[nodiscard]] DType dtype_from(c10::ScalarType scalar);

}  // namespace lowbit
