#include <ATen/core/Tensor.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/silu.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/tensor/decode.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/parallel.h"
#include "tensor/autograd.h"
#include "tensor/silu.h"

namespace lowbit {
namespace {

// LibTorch computes exp and tanh on whole vectors of up to 64 elements with another formula than on what is left at the
// end of a thread's share. Shares that are multiples of 64 elements, or else whole rows, give every element the same
// formula whatever the batch and the threads.
constexpr std::int64_t kVector = 64;
// Elements that are worth waking a thread for.
constexpr std::int64_t kGrain = 65536;

// Applies `apply(out, in)` to parts of a contiguous tensor.
template <typename Apply>
at::Tensor map_parts(const at::Tensor& x, Apply apply) {
  const at::Tensor input = x.contiguous();
  at::Tensor out = at::empty_like(input);
  if (input.numel() == 0) return out;
  const std::int64_t row = input.dim() > 0 ? input.size(-1) : 1;
  const std::int64_t unit = row % kVector == 0 ? kVector : row;
  const at::Tensor flat_in = input.view({-1});
  at::Tensor flat_out = out.view({-1});
  const auto run = [&](std::int64_t first, std::int64_t units) {
    at::Tensor target = flat_out.narrow(0, first * unit, units * unit);
    apply(target, flat_in.narrow(0, first * unit, units * unit));
  };
  parallel_for(input.numel() / unit, std::max<std::int64_t>(1, kGrain / unit),
               [&](std::int64_t begin, std::int64_t end) {
                 const NoGradScope no_grad;
                 if (unit == kVector) return run(begin, end - begin);
                 for (std::int64_t i = begin; i < end; ++i) run(i, 1);
               });
  return out;
}

at::Tensor rms_norm_functional(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor scale = wide.pow(2).mean({-1}, /*keepdim=*/true).add(eps).rsqrt();
  return weight.mul(wide.mul(scale).to(x.scalar_type()));
}

// The mean square in sixteen float32 sums that are added up as a tree, in the same order everywhere.
template <typename Number>
float mean_square(const Number* x, std::int64_t n) {
  constexpr std::int64_t kLanes = 16;
  std::array<float, kLanes> sums{};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const float value = static_cast<float>(x[i + lane]);
      sums[static_cast<std::size_t>(lane)] += value * value;
    }
  }
  for (; i < n; ++i) {
    const float value = static_cast<float>(x[i]);
    sums[static_cast<std::size_t>(i % kLanes)] += value * value;
  }
  for (std::size_t width = kLanes / 2; width > 0; width /= 2) {
    for (std::size_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  }
  return sums[0] / static_cast<float>(n);
}

template <typename Number>
void norm_row(const Number* x, std::int64_t n, const Number* weight, double eps, Number* out) {
  const float scale = 1.0F / std::sqrt(mean_square(x, n) + static_cast<float>(eps));
  for (std::int64_t i = 0; i < n; ++i) {
    const Number normalised = static_cast<Number>(static_cast<float>(x[i]) * scale);
    out[i] = static_cast<Number>(static_cast<float>(normalised) * static_cast<float>(weight[i]));
  }
}

template <typename Number>
at::Tensor norm_all_rows(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor input = x.contiguous();
  at::Tensor out = at::empty_like(input);
  const std::int64_t n = x.size(-1);
  const at::Tensor contiguous_weight = weight.contiguous();
  const Number* in = input.const_data_ptr<Number>();
  const Number* w = contiguous_weight.const_data_ptr<Number>();
  Number* target = out.mutable_data_ptr<Number>();
  const std::int64_t rows = n == 0 ? 0 : input.numel() / n;
  parallel_for(rows, std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(n, 1)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row) norm_row(in + row * n, n, w, eps, target + row * n);
               });
  return out;
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (x.dim() < 1 || weight.dim() != 1 || weight.size(0) != x.size(-1) || weight.scalar_type() != x.scalar_type()) {
    fail(ErrorCode::kInternal, "rms_norm: input {} of {} does not go with weight {} of {}", shape_text(shape_of(x)),
         c10::toString(x.scalar_type()), shape_text(shape_of(weight)), c10::toString(weight.scalar_type()));
  }
  if (needs_gradient({x, weight})) return rms_norm_functional(x, weight, eps);
  // One launch on a GPU, in place of eight.
  if (needs_functional({x, weight})) return at::rms_norm(x, x.sizes().slice(x.dim() - 1), weight, eps);
  if (x.scalar_type() == at::kFloat) return norm_all_rows<float>(x, weight, eps);
  if (x.scalar_type() == at::kBFloat16) return norm_all_rows<at::BFloat16>(x, weight, eps);
  return rms_norm_functional(x, weight, eps);
}

void rms_norm_rows(const float* x, std::int64_t rows, std::int64_t width, const float* weight, double eps, float* out) {
  for (std::int64_t row = 0; row < rows; ++row) norm_row(x + row * width, width, weight, eps, out + row * width);
}

void silu_product(float* gate, const float* up, std::int64_t count) {
  if (decode_operations_available()) return silu_product_numbers(gate, up, count);
  const NoGradScope no_grad;
  at::Tensor part = at::from_blob(gate, {count}, at::TensorOptions(at::kFloat));
  at::silu_out(part, part);
  for (std::int64_t i = 0; i < count; ++i) gate[i] *= up[i];
}

at::Tensor silu(const at::Tensor& x) {
  if (needs_functional({x})) return at::silu(x);
  const bool own = x.scalar_type() == at::kFloat && decode_operations_available();
  return map_parts(x, [own](at::Tensor& out, const at::Tensor& in) {
    if (!own) return static_cast<void>(at::silu_out(out, in));
    silu_numbers(in.const_data_ptr<float>(), in.numel(), out.mutable_data_ptr<float>());
  });
}

at::Tensor gelu_tanh(const at::Tensor& x) {
  if (needs_functional({x})) return at::gelu(x, "tanh");
  return map_parts(x, [](at::Tensor& out, const at::Tensor& in) { at::gelu_out(out, in, "tanh"); });
}

at::Tensor relu(const at::Tensor& x) { return at::relu(x); }

at::Tensor embedding(const at::Tensor& table, const at::Tensor& ids) {
  return at::embedding(table, ids.to(table.device()));
}

}  // namespace lowbit
