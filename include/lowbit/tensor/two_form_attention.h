#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "lowbit/base/export.h"

namespace lowbit LOWBIT_EXPORT {

/// Keys or values of which each query sees the older ones in another form, as a cache that rounds them leaves them.
struct TwoForms {
  at::Tensor recent;  ///< [batch, kv_heads, tk, dim]
  at::Tensor old;     ///< likewise
  /// [tq]: query i sees `old` before position old_count[i], `recent` from there on. Never falling.
  std::span<const std::int64_t> old_count;
};

/// Whether `two_form_attention` can be called: float32 in main memory, no gradients, and a processor on which every
/// number of `causal_attention` is one chain over the keys.
[[nodiscard]] bool two_form_attention_available(const at::Tensor& q);

/// Causal attention of the last tq positions as `causal_attention` computes it deterministically, bit for bit as if
/// each query came by itself with keys and values of its own forms.
[[nodiscard]] at::Tensor two_form_attention(const at::Tensor& q, const TwoForms& keys, const TwoForms& values,
                                            double scale, std::int64_t window);

}  // namespace lowbit
