#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "lowbit/model/block.h"
#include "lowbit/model/weight_source.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"

namespace lowbit {

/// A tensor of a model in the type and on the device of the computation: a copy of its own, which nobody's file can
/// change under us, or a view of float32 numbers in their file. It begins on a cache line.
[[nodiscard]] inline at::Tensor load_weight(const WeightSource& weights, const std::string& name, const Shape& shape,
                                            const ComputeOptions& options) {
  const at::Tensor stored = weights.load(name, shape);
  const bool on_line = reinterpret_cast<std::uintptr_t>(stored.const_data_ptr()) % 64 == 0;
  const at::Tensor weight = to_place(stored, options.dtype, options.device);
  return weight.is_same(stored) && !on_line ? weight.clone() : weight;
}

}  // namespace lowbit
