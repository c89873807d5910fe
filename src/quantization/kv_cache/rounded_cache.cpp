#include "quantization/kv_cache/rounded_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/model/kv_rounder.h"
#include "lowbit/tensor/device.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "lowbit/tensor/two_form_attention.h"

namespace lowbit {
namespace {

// The keys or the values of one layer: rounded tokens, and behind them those that are not.
class Side {
 public:
  explicit Side(const RoundedSide& options) : options_(options), rounded_(options.rounding) {}

  // All tokens as attention sees them, those of `x` among them: [batch, heads, length, channels], a new tensor.
  at::Tensor append(const at::Tensor& x, DType type) {
    if (recent_.defined() && (x.size(0) != recent_.size(0) || x.size(1) != recent_.size(1))) {
      fail(ErrorCode::kInternal, "KV cache: keys of shape {} follow a cache of shape {}", shape_text(shape_of(x)),
           shape_text(shape_of(recent_)));
    }
    recent_ = recent_.defined() ? concatenate({recent_, x}, 2) : x.clone();
    if (rounded_.length() == 0) return to_dtype(recent_.clone(), type);
    const at::Tensor past = to_place(rounded_.values(0, rounded_.length()), type, x.device());
    return concatenate({past, to_dtype(recent_, type)}, 2);
  }

  // Rounds what is rounded once `length` tokens have been read; in `seen`, a result of `append`, they are replaced.
  void round_until(std::int64_t length, at::Tensor* seen) {
    const std::int64_t begin = rounded_.length();
    const std::int64_t count = options_.rounded(length) - begin;
    if (count <= 0) return;
    rounded_.append(to_place(recent_.narrow(2, 0, count), DType::kFloat32, at::kCPU));
    recent_ = recent_.narrow(2, count, recent_.size(2) - count);
    if (seen != nullptr) seen->narrow(2, begin, count).copy_(rounded_.values(begin, count));
  }

  // The same for tokens that lie elsewhere; they stay there.
  void round_elsewhere(std::int64_t length, KeptTokens& tokens) {
    const std::int64_t begin = rounded_.length();
    const std::int64_t count = options_.rounded(length) - begin;
    if (count <= 0) return;
    rounded_.append(tokens.read(begin, count));
    tokens.hand_over(rounded_, rounded_.length());
  }
  [[nodiscard]] std::int64_t bytes_elsewhere(std::int64_t length, std::int64_t token_bytes) const {
    return rounded_.bytes() + (length - rounded_.length()) * token_bytes;
  }

  // Tokens that are rounded when `length` have been read.
  [[nodiscard]] std::int64_t rounded(std::int64_t length) const { return options_.rounded(length); }

  // Gives back the memory of tokens that have been rounded.
  void shrink() { recent_ = recent_.clone(); }

  [[nodiscard]] std::int64_t length() const { return rounded_.length() + (recent_.defined() ? recent_.size(2) : 0); }
  [[nodiscard]] std::int64_t bytes() const {
    return rounded_.bytes() + (recent_.defined() ? recent_.numel() * recent_.element_size() : 0);
  }

 private:
  RoundedSide options_;
  RoundedTokens rounded_;
  at::Tensor recent_;  // [batch, heads, tokens, channels] as they came, undefined before the first
};

class RoundedKvCache : public KvCachePolicy, public KvRounder {
 public:
  RoundedKvCache(const RoundedCacheOptions& options, std::int64_t window)
      : window_(window), keys_(options.keys), values_(options.values) {}

  at::Tensor append_and_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                               bool deterministic) override {
    const DType type = dtype_of(q);
    const at::Tensor out =
        causal_attention(q, keys_.append(k, type), values_.append(v, type), scale, window_, deterministic);
    round_until(length(), nullptr, nullptr);
    shrink();
    return out;
  }

  at::Tensor append_and_attend_each(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                                    bool deterministic) override {
    const std::int64_t before = length();
    at::Tensor keys = keys_.append(k, dtype_of(q));
    at::Tensor values = values_.append(v, dtype_of(q));
    const at::Tensor out = deterministic && two_form_attention_available(q)
                               ? attend_together(q, keys, values, scale, before)
                               : attend_in_turn(q, keys, values, scale, before, deterministic);
    shrink();
    return out;
  }

  std::int64_t length() const override { return keys_.length(); }
  std::int64_t bytes() const override { return keys_.bytes() + values_.bytes(); }

  void round(std::int64_t length, KeptTokens& keys, KeptTokens& values) override {
    keys_.round_elsewhere(length, keys);
    values_.round_elsewhere(length, values);
  }
  std::int64_t rounded_bytes(std::int64_t length, std::int64_t token_bytes) const override {
    return keys_.bytes_elsewhere(length, token_bytes) + values_.bytes_elsewhere(length, token_bytes);
  }

 private:
  // Tokens `before` and up, all of whose keys and values are laid out as they came: each is replaced by its rounded
  // form where a token behind it would find that.
  at::Tensor attend_in_turn(const at::Tensor& q, at::Tensor& keys, at::Tensor& values, double scale,
                            std::int64_t before, bool deterministic) {
    std::vector<at::Tensor> outputs;
    for (std::int64_t token = 0; token < q.size(2); ++token) {
      const std::int64_t seen = before + token + 1;
      outputs.push_back(causal_attention(q.narrow(2, token, 1), keys.narrow(2, 0, seen), values.narrow(2, 0, seen),
                                         scale, window_, deterministic));
      round_until(seen, &keys, &values);
    }
    return concatenate(outputs, 2);
  }

  // The same with both forms side by side.
  at::Tensor attend_together(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, double scale,
                             std::int64_t before) {
    std::vector<std::int64_t> rounded_keys;
    std::vector<std::int64_t> rounded_values;
    for (std::int64_t token = before; token < before + q.size(2); ++token) {
      rounded_keys.push_back(keys_.rounded(token));
      rounded_values.push_back(values_.rounded(token));
    }
    at::Tensor old_keys = keys.clone();
    at::Tensor old_values = values.clone();
    round_until(before + q.size(2), &old_keys, &old_values);
    return two_form_attention(q, {keys, old_keys, rounded_keys}, {values, old_values, rounded_values}, scale, window_);
  }

  void round_until(std::int64_t length, at::Tensor* keys, at::Tensor* values) {
    keys_.round_until(length, keys);
    values_.round_until(length, values);
  }
  void shrink() {
    keys_.shrink();
    values_.shrink();
  }

  std::int64_t window_;
  Side keys_;
  Side values_;
};

}  // namespace

std::int64_t RoundedSide::rounded(std::int64_t length) const {
  return std::max<std::int64_t>(0, length - kept) / block * block;
}

std::string RoundedSide::text() const {
  const bool of_tokens = rounding.groups == KvRounding::Groups::kOfTokens;
  std::string group = of_tokens            ? fmt::format("{} tokens of a channel", rounding.group)
                      : rounding.group > 0 ? fmt::format("{} channels of a token", rounding.group)
                                           : std::string("all channels of a token's head");
  std::string text =
      fmt::format("int{} {}, {} to a scale", rounding.bits, rounding.symmetric ? "symmetric" : "asymmetric", group);
  if (of_tokens) text += fmt::format(", rounded in blocks of {} tokens", block);
  if (kept > 0) text += fmt::format(", the last {} tokens as they are", kept);
  return text;
}

std::unique_ptr<KvCachePolicy> make_rounded_kv_cache(const RoundedCacheOptions& options, std::int64_t window) {
  return std::make_unique<RoundedKvCache>(options, window);
}

}  // namespace lowbit
