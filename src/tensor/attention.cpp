#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <algorithm>
#include <optional>
#include <span>

#include "lowbit/base/error.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/two_form_attention.h"
#include "tensor/alignment.h"
#include "tensor/autograd.h"
#include "tensor/float_attention.h"
#include "tensor/float_panels.h"
#include "tensor/threads.h"

namespace lowbit {
namespace {

// True where query row i, at position tk - tq + i, may look at key column j: bool [tq, tk].
at::Tensor visible_mask(std::int64_t tq, std::int64_t tk, std::int64_t window, at::Device device) {
  const at::TensorOptions options = at::TensorOptions(at::kLong).device(device);
  const at::Tensor keys = at::arange(tk, options).unsqueeze(0);
  const at::Tensor queries = at::arange(tk - tq, tk, options).unsqueeze(1);
  at::Tensor mask = keys.le(queries);
  if (window > 0) mask = mask.logical_and(keys.gt(queries.sub(window)));
  return mask;
}

// Which positions are hidden, in the cheapest form that says it.
struct Causality {
  std::optional<at::Tensor> mask;
  bool causal = false;
};

Causality causality_of(std::int64_t tq, std::int64_t tk, std::int64_t window, at::Device device) {
  const bool window_matters = window > 0 && window < tk;
  if (!window_matters && tq == 1) return {};
  if (!window_matters && tq == tk) return {std::nullopt, true};
  return {visible_mask(tq, tk, window, device), false};
}

void check_shapes(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const bool fits = q.dim() == 4 && k.dim() == 4 && v.dim() == 4 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
                    q.size(3) == k.size(3) && k.size(2) >= q.size(2) && k.size(1) > 0 && q.size(1) % k.size(1) == 0;
  if (!fits) {
    fail(ErrorCode::kInternal, "attention: queries {}, keys {} and values {} do not go together",
         shape_text(shape_of(q)), shape_text(shape_of(k)), shape_text(shape_of(v)));
  }
}

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                  const Causality& causality) {
  return at::scaled_dot_product_attention(q, k, v, causality.mask, /*dropout_p=*/0.0, causality.causal, scale,
                                          /*enable_gqa=*/q.size(1) != k.size(1));
}

// One KV head of one sequence with the query heads that it serves: [1, r, tq, dim], contiguous so that the kernel sees
// the same strides and alignment wherever the sequence stands in its batch. The key and value are seen r times.
at::Tensor attend_unit(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                       const Causality& causality) {
  const NoGradScope no_grad;
  const std::int64_t repeats = q.size(1);
  const at::Tensor keys = aligned_contiguous(k).expand({1, repeats, k.size(2), k.size(3)});
  const at::Tensor values = aligned_contiguous(v).expand({1, repeats, v.size(2), v.size(3)});
  return attend(aligned_contiguous(q), keys, values, scale, causality);
}

HeadsView<const float> view_heads(const at::Tensor& t) {
  return {t.const_data_ptr<float>(), t.stride(0), t.stride(1), t.stride(2)};
}

// A form whose `count` is empty is not looked at.
struct OldTensor {
  at::Tensor data;
  std::span<const std::int64_t> count;
};

at::Tensor attend_in_float32(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                             std::int64_t window, const OldTensor& old_k = {}, const OldTensor& old_v = {}) {
  const NoGradScope no_grad;
  const auto rows = [](const at::Tensor& t) { return !t.defined() || t.stride(3) == 1 ? t : t.contiguous(); };
  const at::Tensor queries = rows(q);
  const at::Tensor keys = rows(k);
  const at::Tensor values = rows(v);
  const at::Tensor old_keys = rows(old_k.data);
  const at::Tensor old_values = rows(old_v.data);
  const auto old_form = [](const at::Tensor& data, std::span<const std::int64_t> count) {
    return data.defined() ? OldForm{view_heads(data), count.data()} : OldForm{};
  };
  at::Tensor out = at::empty({q.size(0), q.size(2), q.size(1), q.size(3)}, q.options()).transpose(1, 2);
  attend_on_panels({.q = view_heads(queries),
                    .k = view_heads(keys),
                    .v = view_heads(values),
                    .out = {out.mutable_data_ptr<float>(), out.stride(0), out.stride(1), out.stride(2)},
                    .batch = q.size(0),
                    .heads = q.size(1),
                    .kv_heads = k.size(1),
                    .queries = q.size(2),
                    .keys = k.size(2),
                    .dim = q.size(3),
                    .scale = static_cast<float>(scale),
                    .window = window,
                    .old_k = old_form(old_keys, old_k.count),
                    .old_v = old_form(old_values, old_v.count)});
  return out;
}

void check_forms(const at::Tensor& q, const TwoForms& forms) {
  const bool fits = forms.recent.sizes() == forms.old.sizes() &&
                    static_cast<std::int64_t>(forms.old_count.size()) == q.size(2) &&
                    std::is_sorted(forms.old_count.begin(), forms.old_count.end());
  if (!fits) {
    fail(ErrorCode::kInternal,
         "attention: forms {} and {} of keys or values, and {} counts for {} queries, do not go "
         "together",
         shape_text(shape_of(forms.recent)), shape_text(shape_of(forms.old)), forms.old_count.size(), q.size(2));
  }
}

}  // namespace

bool fits_panels(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return !needs_functional({q, k, v}) && q.scalar_type() == at::kFloat && q.numel() > 0 && float_panels_available();
}

bool two_form_attention_available(const at::Tensor& q) { return fits_panels(q, q, q); }

at::Tensor two_form_attention(const at::Tensor& q, const TwoForms& keys, const TwoForms& values, double scale,
                              std::int64_t window) {
  check_shapes(q, keys.recent, values.recent);
  check_forms(q, keys);
  check_forms(q, values);
  LOWBIT_ASSERT(two_form_attention_available(q));
  ensure_threads();
  return attend_in_float32(q, keys.recent, values.recent, scale, window, {keys.old, keys.old_count},
                           {values.old, values.old_count});
}

at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                            std::int64_t window, bool deterministic) {
  check_shapes(q, k, v);
  if (k.scalar_type() != q.scalar_type()) {
    return causal_attention(q, k.to(q.scalar_type()), v.to(q.scalar_type()), scale, window, deterministic);
  }
  ensure_threads();
  const bool functional = needs_functional({q, k, v});
  if (!functional && q.scalar_type() == at::kBFloat16 && q.numel() > 0 && bfloat16_is_widened()) {
    const NoGradScope no_grad;
    return attend_in_float32(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat), scale, window).to(at::kBFloat16);
  }
  const Causality causality = causality_of(q.size(2), k.size(2), window, q.device());
  if (!deterministic || functional) return attend(q, k, v, scale, causality);
  if (fits_panels(q, k, v)) return attend_in_float32(q, k, v, scale, window);
  const std::int64_t kv_heads = k.size(1);
  const std::int64_t repeats = q.size(1) / kv_heads;
  // [batch, tq, heads, dim] in memory: the caller's next step joins the heads of a token.
  at::Tensor out = at::empty({q.size(0), q.size(2), q.size(1), q.size(3)}, q.options()).transpose(1, 2);
  const double work = 2.0 * static_cast<double>(q.numel()) * static_cast<double>(k.size(2));
  for_each_unit(q.size(0) * kv_heads, work, [&](std::int64_t unit) {
    const std::int64_t sequence = unit / kv_heads;
    const std::int64_t head = unit % kv_heads;
    const auto heads_of = [&](const at::Tensor& t, std::int64_t count) {
      return t.narrow(0, sequence, 1).narrow(1, head * count, count);
    };
    const at::Tensor part = attend_unit(heads_of(q, repeats), heads_of(k, 1), heads_of(v, 1), scale, causality);
    heads_of(out, repeats).copy_(part);
  });
  return out;
}

}  // namespace lowbit
