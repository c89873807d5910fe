#pragma once

#include <cstdint>

#include "lowbit/fwd.h"

namespace lowbit {

/// A float32 tensor [batch, heads, tokens, dim] whose last dimension is contiguous; strides in elements.
template <typename Number>
struct HeadsView {
  Number* data;
  std::int64_t batch_stride, head_stride, token_stride;
  [[nodiscard]] Number* at(std::int64_t batch, std::int64_t head, std::int64_t token) const {
    return data + batch * batch_stride + head * head_stride + token * token_stride;
  }
};

/// Another form of the keys or values: query i sees it before position count[i], which never falls. A null `count`: no
/// query does.
struct OldForm {
  HeadsView<const float> data{};
  const std::int64_t* count = nullptr;
};

/// Causal attention as lowbit/tensor/ops.h has it, on the panels of tensor/float_panels.h. Every number of the result
/// is made of the row's own query and the keys and values before it, in their order: scores as chains over `dim`, the
/// softmax's sum and the weighted values as chains over the keys.
struct FloatAttention {
  HeadsView<const float> q, k, v;
  HeadsView<float> out;
  std::int64_t batch, heads, kv_heads, queries, keys, dim;
  float scale;
  std::int64_t window;  // 0: all keys
  OldForm old_k{}, old_v{};
};
void attend_on_panels(const FloatAttention& attention);
/// Whether these may go there: not empty, float32 in main memory, no gradients, and a processor that has panels.
[[nodiscard]] bool fits_panels(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

}  // namespace lowbit
