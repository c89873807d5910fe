#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "lowbit/base/export.h"
#include "lowbit/fwd.h"

namespace lowbit LOWBIT_EXPORT {

/// x W^T + b with `x` [..., tokens, in], `weight` [out, in], `bias` [out] or undefined. With `deterministic`, every
/// row's bits are a function of the row's place in its sequence and of the operands alone: products run as fixed units
/// of `kTileRows` rows (short ones padded) by a fixed slice of output columns, one thread each, so that neither the
/// batch nor the number of threads changes them; a single row of float32 or bfloat16 is a `VectorProduct`.
inline constexpr std::int64_t kTileRows = 64;
[[nodiscard]] at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                bool deterministic);

/// Causal attention of the last `q` positions over `k`, `v`: q [batch, heads, tq, dim], k and v [batch, kv_heads, tk,
/// dim], tk >= tq; KV head g serves query heads g*r .. g*r+r-1. Softmax in float32. Returns [batch, heads, tq, dim] in
/// the type of q, to which k and v are brought.
/// With `deterministic` each sequence is computed by itself. `window` > 0 lets position p see p-window+1..p only.
[[nodiscard]] at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                                          std::int64_t window, bool deterministic);

/// x * rsqrt(mean(x^2) + eps) in float32, rounded to the type of `x`, then times `weight` [hidden].
[[nodiscard]] at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);
[[nodiscard]] at::Tensor silu(const at::Tensor& x);
[[nodiscard]] at::Tensor gelu_tanh(const at::Tensor& x);
[[nodiscard]] at::Tensor relu(const at::Tensor& x);
/// Rows of `table` [rows, n] for `ids` int64 [...]: [..., n].
[[nodiscard]] at::Tensor embedding(const at::Tensor& table, const at::Tensor& ids);

/// X^T X of `x` [tokens, n] in float32 products of at most 512 rows, added up in float64 in order: [n, n] float64. The
/// result is symmetric bit for bit and does not depend on the number of threads.
[[nodiscard]] at::Tensor gram(const at::Tensor& x);
/// X^T Y likewise: [n, m] float64.
[[nodiscard]] at::Tensor cross_gram(const at::Tensor& x, const at::Tensor& y);

/// The lower Cholesky factor of a symmetric float64 matrix on one thread, or nothing when it is not positive definite.
[[nodiscard]] std::optional<at::Tensor> cholesky(const at::Tensor& matrix);
/// The inverse of the matrix whose lower Cholesky factor is given.
[[nodiscard]] at::Tensor cholesky_inverse(const at::Tensor& factor);

/// True when every element is finite.
[[nodiscard]] bool all_finite(const at::Tensor& tensor);

/// Runs `action` without recording gradients, and turns LibTorch's exceptions into `Error`: out of memory into
/// `kDevice`, all else into `kInternal` with its first line.
void guard_torch(const std::function<void()>& action);

/// While alive, this thread records no gradients.
class NoGradScope {
 public:
  NoGradScope();
  ~NoGradScope();
  NoGradScope(const NoGradScope&) = delete;
  NoGradScope& operator=(const NoGradScope&) = delete;

 private:
  bool previous_;
};

/// `forward` in the forward pass, the gradient of `surrogate` in the backward pass: surrogate + (forward - surrogate)
/// detached. Straight-through rounding is straight_through(x.round(), x).
[[nodiscard]] at::Tensor straight_through(const at::Tensor& forward, const at::Tensor& surrogate);

}  // namespace lowbit
