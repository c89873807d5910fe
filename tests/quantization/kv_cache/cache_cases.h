#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/tensor/factory.h"
#include "quantization/kv_cache/rounded_cache.h"

namespace lowbit::testing {

inline at::Tensor normal(const Shape& shape, const std::string& stream) {
  const Random random(4, stream);
  at::Tensor result = make_empty(shape, DType::kFloat32);
  std::uint64_t counter = 0;
  for (float& value : mutable_values_of<float>(result)) value = static_cast<float>(random.normal(counter++));
  return result;
}

/// Queries, keys and values of sequences that share two KV heads of 20 channels among four heads.
struct Tokens {
  explicit Tokens(std::int64_t tokens, std::int64_t batch = 1)
      : q(normal({batch, 4, tokens, 20}, "q")),
        k(normal({batch, 2, tokens, 20}, "k")),
        v(normal({batch, 2, tokens, 20}, "v")) {}
  Tokens(at::Tensor queries, at::Tensor keys, at::Tensor values)
      : q(std::move(queries)), k(std::move(keys)), v(std::move(values)) {}
  [[nodiscard]] Tokens part(std::int64_t begin, std::int64_t count) const {
    const auto cut = [&](const at::Tensor& x) { return x.narrow(2, begin, count).contiguous(); };
    return {cut(q), cut(k), cut(v)};
  }
  [[nodiscard]] std::int64_t count() const { return q.size(2); }
  at::Tensor q, k, v;
};

inline constexpr double kScoreScale = 0.22;

inline at::Tensor read(KvCachePolicy& cache, const Tokens& tokens) {
  return cache.append_and_attend(tokens.q, tokens.k, tokens.v, kScoreScale, true);
}

/// A prompt at once, then the others in calls with one token each; their outputs, without the prompt's.
inline at::Tensor decode(KvCachePolicy& cache, const Tokens& tokens, std::int64_t prompt) {
  if (prompt > 0) (void)read(cache, tokens.part(0, prompt));
  std::vector<at::Tensor> outputs;
  for (std::int64_t t = prompt; t < tokens.count(); ++t) outputs.push_back(read(cache, tokens.part(t, 1)));
  return concatenate(outputs, 2);
}

inline RoundedCacheOptions kivi(int bits, std::int64_t group, std::int64_t window,
                                ScaleType scale = ScaleType::kFloat16) {
  const KvRounding values{.groups = KvRounding::Groups::kOfChannels, .bits = bits, .group = group, .scale = scale};
  KvRounding keys = values;
  keys.groups = KvRounding::Groups::kOfTokens;
  return {.keys = {.rounding = keys, .kept = 0, .block = window}, .values = {.rounding = values, .kept = window}};
}

}  // namespace lowbit::testing
