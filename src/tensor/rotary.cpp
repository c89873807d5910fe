#include "lowbit/tensor/rotary.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "lowbit/base/error.h"
#include "lowbit/tensor/decode.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"
#include "tensor/autograd.h"

namespace lowbit {
namespace {

// Elements that are worth waking a thread for.
constexpr std::int64_t kGrain = 65536;

at::Tensor rotate_functional(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const std::int64_t half = x.size(-1) / 2;
  const at::Tensor turned = at::cat({x.narrow(-1, half, half).neg(), x.narrow(-1, 0, half)}, -1);
  return x.mul(cos).add(turned.mul(sin));
}

// As `rotate_functional` in three launches; a sum is rounded once.
at::Tensor rotate_in_place(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const std::int64_t half = x.size(-1) / 2;
  const at::Tensor out = x.mul(cos);
  out.narrow(-1, 0, half).addcmul_(x.narrow(-1, half, half), sin.narrow(-1, 0, half), -1);
  out.narrow(-1, half, half).addcmul_(x.narrow(-1, 0, half), sin.narrow(-1, half, half));
  return out;
}

void rotate_row(const float* x, const float* cos, const float* sin, std::int64_t half, float* out) {
  for (std::int64_t i = 0; i < half; ++i) out[i] = x[i] * cos[i] + -x[i + half] * sin[i];
  for (std::int64_t i = half; i < 2 * half; ++i) out[i] = x[i] * cos[i] + x[i - half] * sin[i];
}

// In memory the result is [batch, tokens, heads, dim], as projections give it.
at::Tensor rotate_rows(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const std::int64_t heads = x.size(1);
  const std::int64_t tokens = x.size(2);
  const std::int64_t dim = x.size(3);
  at::Tensor out = at::empty({x.size(0), tokens, heads, dim}, x.options());
  const at::Tensor cosines = cos.contiguous();
  const at::Tensor sines = sin.contiguous();
  const float* source = x.const_data_ptr<float>();
  float* target = out.mutable_data_ptr<float>();
  const std::int64_t grain = std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, heads * dim));
  parallel_for(x.size(0) * tokens, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t token = row % tokens;
      for (std::int64_t head = 0; head < heads; ++head) {
        rotate_row(source + row / tokens * x.stride(0) + head * x.stride(1) + token * x.stride(2),
                   cosines.const_data_ptr<float>() + token * dim, sines.const_data_ptr<float>() + token * dim, dim / 2,
                   target + (row * heads + head) * dim);
      }
    }
  });
  return out.transpose(1, 2);
}

}  // namespace

void rotate_heads(float* x, std::int64_t heads, std::int64_t dim, const float* cos, const float* sin) {
  float turned[kMostRotated];
  for (std::int64_t head = 0; head < heads; ++head) {
    rotate_row(x + head * dim, cos, sin, dim / 2, turned);
    std::copy_n(turned, dim, x + head * dim);
  }
}

at::Tensor rotate_pairs(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const bool fits = x.dim() == 4 && x.size(3) % 2 == 0 && cos.dim() == 2 && cos.size(0) == x.size(2) &&
                    cos.size(1) == x.size(3) && cos.sizes() == sin.sizes() && cos.scalar_type() == x.scalar_type() &&
                    sin.scalar_type() == x.scalar_type();
  if (!fits) {
    fail(ErrorCode::kInternal, "rotate_pairs: input {} does not go with tables {} and {}", shape_text(shape_of(x)),
         shape_text(shape_of(cos)), shape_text(shape_of(sin)));
  }
  if (needs_functional({x}) && !needs_gradient({x, cos, sin})) return rotate_in_place(x, cos, sin);
  if (x.scalar_type() != at::kFloat || x.stride(3) != 1 || needs_functional({x})) return rotate_functional(x, cos, sin);
  return rotate_rows(x, cos, sin);
}

}  // namespace lowbit
