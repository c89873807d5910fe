#include "lowbit/tensor/rotation.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/parallel.h"
#include "tensor/autograd.h"
#include "tensor/hadamard.h"

namespace lowbit {
namespace {

// In place: v S for a row of `size` numbers, a power of two.
template <typename Number>
void walsh_hadamard(Number* v, std::int64_t size) {
  for (std::int64_t half = 1; half < size; half *= 2) {
    for (std::int64_t begin = 0; begin < size; begin += 2 * half) {
      for (std::int64_t i = begin; i < begin + half; ++i) {
        const Number sum = v[i] + v[i + half];
        v[i + half] = v[i] - v[i + half];
        v[i] = sum;
      }
    }
  }
}

// What `rotate_rows` needs of a rotation, in the type of the computation.
template <typename Number>
struct Factors {
  std::vector<Number> core;   // [core_order, core_order]
  std::vector<Number> signs;  // [n] or empty
  std::int64_t core_order;
  std::int64_t power;  // 2^k
  Number scale;
};

template <typename Number>
void rotate_row(const Factors<Number>& factors, const Number* in, Number* out, std::vector<Number>& scratch) {
  const std::int64_t n = factors.core_order * factors.power;
  for (std::int64_t i = 0; i < n; ++i) {
    scratch[static_cast<std::size_t>(i)] =
        factors.signs.empty() ? in[i] : in[i] * factors.signs[static_cast<std::size_t>(i)];
  }
  for (std::int64_t a = 0; a < factors.core_order; ++a)
    walsh_hadamard(scratch.data() + a * factors.power, factors.power);
  for (std::int64_t to = 0; to < factors.core_order; ++to) {
    Number* target = out + to * factors.power;
    std::fill(target, target + factors.power, Number{0});
    for (std::int64_t from = 0; from < factors.core_order; ++from) {
      const Number weight = factors.core[static_cast<std::size_t>(from * factors.core_order + to)];
      const Number* source = scratch.data() + from * factors.power;
      for (std::int64_t i = 0; i < factors.power; ++i) target[i] += weight * source[i];
    }
    for (std::int64_t i = 0; i < factors.power; ++i) target[i] *= factors.scale;
  }
}

// Each row is one thread's work and sees no other row.
template <typename Number>
at::Tensor rotate_rows(const Factors<Number>& factors, const at::Tensor& x) {
  const at::Tensor input = x.contiguous();
  at::Tensor out = at::empty_like(input);
  const std::int64_t n = factors.core_order * factors.power;
  const Number* in = input.const_data_ptr<Number>();
  Number* target = out.mutable_data_ptr<Number>();
  const std::int64_t grain = std::max<std::int64_t>(1, 65536 / (n * (factors.core_order + 8)));
  parallel_for(input.numel() / n, grain, [&](std::int64_t begin, std::int64_t end) {
    std::vector<Number> scratch(static_cast<std::size_t>(n));
    for (std::int64_t row = begin; row < end; ++row) rotate_row(factors, in + row * n, target + row * n, scratch);
  });
  return out;
}

}  // namespace

Rotation::Rotation(const RotationSpec& spec, std::int64_t n) : order_(n), core_order_(spec.core_order) {
  if (const std::string problem = rotation_problem(spec, n); !problem.empty()) {
    fail(ErrorCode::kInternal, "rotation: {}", problem);
  }
  core_ = core_matrix(spec.core, spec.core_order, spec.seed);
  const std::int64_t entries_of_one = spec.core == RotationCore::kOrthonormal ? n / core_order_ : n;
  scale_ = 1.0 / std::sqrt(static_cast<double>(entries_of_one));
  if (!spec.random_signs) return;
  const Random random(spec.seed, "rotation/signs");
  for (std::int64_t i = 0; i < n; ++i)
    signs_.push_back(random.below(static_cast<std::uint64_t>(i), 2) == 0 ? 1.0 : -1.0);
}

at::Tensor Rotation::apply(const at::Tensor& x) const {
  if (x.dim() < 1 || x.size(-1) != order_) {
    fail(ErrorCode::kInternal, "rotation of order {} of a tensor {}", order_, shape_text(shape_of(x)));
  }
  const bool wide = x.scalar_type() == at::kDouble;
  const at::Tensor input = wide ? x : x.to(at::kFloat);
  if (needs_functional({x})) return apply_functional(input).to(x.scalar_type());
  if (wide) return rotate_rows<double>({core_, signs_, core_order_, order_ / core_order_, scale_}, input);
  const Factors<float> factors{{core_.begin(), core_.end()},
                               {signs_.begin(), signs_.end()},
                               core_order_,
                               order_ / core_order_,
                               static_cast<float>(scale_)};
  return rotate_rows<float>(factors, input).to(x.scalar_type());
}

at::Tensor Rotation::apply_functional(const at::Tensor& x) const {
  const auto like = [&](const std::vector<double>& values) {
    return tensor_of(std::span<const double>(values)).to(x.device(), x.scalar_type());
  };
  const std::int64_t power = order_ / core_order_;
  at::Tensor v = signs_.empty() ? x : x.mul(like(signs_));
  for (std::int64_t half = 1; half < power; half *= 2) {
    v = v.reshape({-1, 2, half});
    v = stack_tensors({v.select(1, 0).add(v.select(1, 1)), v.select(1, 0).sub(v.select(1, 1))}, 1);
  }
  v = v.reshape({-1, core_order_, power});
  if (core_order_ > 1) v = like(core_).view({core_order_, core_order_}).t().matmul(v);
  return v.mul(scale_).reshape(x.sizes());
}

at::Tensor Rotation::matrix() const {
  at::Tensor result = make_empty({order_, order_}, DType::kFloat64);
  const auto entries = mutable_values_of<double>(result);
  const std::int64_t power = order_ / core_order_;
  for (std::int64_t i = 0; i < order_; ++i) {
    for (std::int64_t j = 0; j < order_; ++j) {
      const bool odd = __builtin_parityll(static_cast<unsigned long long>((i % power) & (j % power))) != 0;
      const double core = core_[static_cast<std::size_t>(i / power * core_order_ + j / power)];
      const double sign = signs_.empty() ? 1.0 : signs_[static_cast<std::size_t>(i)];
      entries[static_cast<std::size_t>(i * order_ + j)] = sign * core * (odd ? -scale_ : scale_);
    }
  }
  return result;
}

}  // namespace lowbit
