#include <algorithm>

#include "lowbit/base/error.h"
#include "lowbit/model/block.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"

namespace lowbit {
namespace {

// Room for whole multiples of this many tokens keeps every head's keys on a cache line.
constexpr std::int64_t kStep = 64;

// Keys and values as they come, [batch, kv_heads, capacity, head_dim], grown by doubling.
class FloatKvCache : public KvCachePolicy {
 public:
  explicit FloatKvCache(std::int64_t window) : window_(window) {}

  at::Tensor append_and_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                               bool deterministic) override {
    if (keys_.defined() && (k.size(0) != keys_.size(0) || k.size(1) != keys_.size(1))) {
      fail(ErrorCode::kInternal, "KV cache: keys of shape {} follow a cache of shape {}", shape_text(shape_of(k)),
           shape_text(shape_of(keys_)));
    }
    reserve(k, length_ + k.size(2));
    keys_.narrow(2, length_, k.size(2)).copy_(k);
    values_.narrow(2, length_, v.size(2)).copy_(v);
    length_ += k.size(2);
    return causal_attention(q, keys_.narrow(2, 0, length_), values_.narrow(2, 0, length_), scale, window_,
                            deterministic);
  }
  // Nothing happens to a token after it was read, so that those behind it may come with it.
  at::Tensor append_and_attend_each(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                                    bool deterministic) override {
    return append_and_attend(q, k, v, scale, deterministic);
  }
  std::int64_t length() const override { return length_; }
  std::int64_t bytes() const override {
    if (!keys_.defined()) return 0;
    return 2 * keys_.size(0) * keys_.size(1) * length_ * keys_.size(3) * keys_.element_size();
  }

 private:
  void reserve(const at::Tensor& like, std::int64_t needed) {
    const std::int64_t capacity = keys_.defined() ? keys_.size(2) : 0;
    if (needed <= capacity) return;
    const std::int64_t grown = std::max(needed, 2 * capacity);
    const Shape shape{like.size(0), like.size(1), (grown + kStep - 1) / kStep * kStep, like.size(3)};
    for (at::Tensor* kept : {&keys_, &values_}) {
      at::Tensor larger = like.new_empty(shape);
      if (length_ > 0) larger.narrow(2, 0, length_).copy_(kept->narrow(2, 0, length_));
      *kept = larger;
    }
  }

  std::int64_t window_;
  std::int64_t length_ = 0;
  at::Tensor keys_;
  at::Tensor values_;
};

}  // namespace

std::unique_ptr<KvCachePolicy> make_float_kv_cache(std::int64_t window) {
  return std::make_unique<FloatKvCache>(window);
}

}  // namespace lowbit
