#include "tensor/segment_attention.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "tensor/aligned_buffer.h"
#include "tensor/autograd.h"
#include "tensor/float_attention.h"
#include "tensor/float_panels.h"
#include "tensor/threads.h"

namespace lowbit {
namespace {

std::int64_t keys_of(const AttentionSegment& segment) {
  std::int64_t keys = segment.own.length;
  for (const RowRange& rows : segment.before) keys += rows.length;
  return keys;
}

template <typename Use>
void each_range(const AttentionSegment& segment, Use use) {
  for (const RowRange& rows : segment.before) use(rows);
  use(segment.own);
}

HeadsView<const float> view_rows(const at::Tensor& t, std::int64_t first) {
  return {t.const_data_ptr<float>() + first * t.stride(2), t.stride(0), t.stride(1), t.stride(2)};
}

// What a segment sees of keys or values [heads][keys][dim], one behind the other.
HeadsView<const float> gather(const at::Tensor& t, const AttentionSegment& segment, std::int64_t keys, float* space) {
  const std::int64_t dim = t.size(3);
  const HeadsView<const float> rows = view_rows(t, 0);
  for (std::int64_t head = 0; head < t.size(1); ++head) {
    float* target = space + head * keys * dim;
    each_range(segment, [&](const RowRange& range) {
      for (std::int64_t row = range.begin; row < range.begin + range.length; ++row, target += dim) {
        std::copy_n(rows.at(0, head, row), dim, target);
      }
    });
  }
  return {space, 0, keys * dim, dim};
}

// On panels, without a tensor of its own for each segment.
class PanelSegments {
 public:
  PanelSegments(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& out, double scale,
                std::int64_t window)
      : q_(q), k_(k), v_(v), out_(out), scale_(static_cast<float>(scale)), window_(window) {}

  void attend(const AttentionSegment& segment) const {
    const std::int64_t keys = keys_of(segment);
    const std::int64_t numbers = k_.size(1) * keys * k_.size(3);
    const bool gathers = !segment.before.empty();
    const AlignedBuffer space(gathers ? 2 * numbers : 1);
    const auto seen = [&](const at::Tensor& t, float* own) {
      return gathers ? gather(t, segment, keys, own) : view_rows(t, segment.own.begin);
    };
    float* out = out_.mutable_data_ptr<float>() + segment.own.begin * out_.stride(2);
    attend_on_panels({.q = view_rows(q_, segment.own.begin),
                      .k = seen(k_, space.data()),
                      .v = seen(v_, space.data() + (gathers ? numbers : 0)),
                      .out = {out, out_.stride(0), out_.stride(1), out_.stride(2)},
                      .batch = 1,
                      .heads = q_.size(1),
                      .kv_heads = k_.size(1),
                      .queries = segment.own.length,
                      .keys = keys,
                      .dim = q_.size(3),
                      .scale = scale_,
                      .window = window_});
  }

 private:
  const at::Tensor& q_;
  const at::Tensor& k_;
  const at::Tensor& v_;
  const at::Tensor& out_;
  float scale_;
  std::int64_t window_;
};

at::Tensor seen_by(const AttentionSegment& segment, const at::Tensor& t) {
  std::vector<at::Tensor> parts;
  each_range(segment, [&](const RowRange& rows) { parts.push_back(t.narrow(2, rows.begin, rows.length)); });
  return parts.size() == 1 ? parts.front() : concatenate(parts, 2);
}

}  // namespace

at::Tensor segment_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             std::span<const AttentionSegment> segments, double scale, std::int64_t window,
                             bool deterministic) {
  if (!needs_functional({q, k, v}) && q.scalar_type() == at::kBFloat16 && bfloat16_is_widened()) {
    const auto wide = [](const at::Tensor& t) { return t.to(at::kFloat); };
    return segment_attention(wide(q), wide(k), wide(v), segments, scale, window, true).to(at::kBFloat16);
  }
  // [batch, rows, heads, dim] in memory: the caller's next step joins the heads of a row.
  const at::Tensor out = at::empty({q.size(0), q.size(2), q.size(1), q.size(3)}, q.options()).transpose(1, 2);
  const bool panels = deterministic && fits_panels(q, k, v) && q.stride(3) == 1 && k.stride(3) == 1 && v.stride(3) == 1;
  if (!panels) {
    for (const AttentionSegment& segment : segments) {
      const auto own = [&](const at::Tensor& t) { return t.narrow(2, segment.own.begin, segment.own.length); };
      own(out).copy_(causal_attention(own(q), seen_by(segment, k), seen_by(segment, v), scale, window, deterministic));
    }
    return out;
  }
  const PanelSegments on_panels(q, k, v, out, scale, window);
  // Of a long segment all threads take some, of short ones each thread.
  constexpr std::int64_t kLong = 20'000'000;  // multiply-adds
  constexpr double kLeastWork = 1e6;          // what lies around a segment's products takes as long
  std::vector<const AttentionSegment*> shorts;
  for (const AttentionSegment& segment : segments) {
    if (2 * segment.own.length * keys_of(segment) * q.size(1) * q.size(3) < kLong) {
      shorts.push_back(&segment);
    } else {
      on_panels.attend(segment);
    }
  }
  for_each_unit(std::ssize(shorts), kLeastWork * static_cast<double>(shorts.size()),
                [&](std::int64_t unit) { on_panels.attend(*shorts[static_cast<std::size_t>(unit)]); });
  return out;
}

}  // namespace lowbit
