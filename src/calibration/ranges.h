#pragma once

#include <ATen/core/Tensor.h>

namespace lowbit {

struct ChannelRanges {
  at::Tensor min;      ///< [channels] float32
  at::Tensor max;      ///< [channels] float32
  at::Tensor abs_sum;  ///< [channels] float64, added up row after row, so that the number of threads does not change it
};

/// Of `x` [tokens, channels], contiguous float32.
[[nodiscard]] ChannelRanges channel_ranges(const at::Tensor& x);

}  // namespace lowbit
