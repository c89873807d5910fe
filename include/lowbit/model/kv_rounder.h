#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "lowbit/base/export.h"
#include "lowbit/tensor/decode.h"

namespace lowbit LOWBIT_EXPORT {

/// Keys or values of one layer that lie in a cache of whatever layout, as float32 [sequences, kv_heads, tokens,
/// head_dim].
class KeptTokens {
 public:
  virtual ~KeptTokens() = default;
  [[nodiscard]] virtual at::Tensor read(std::int64_t begin, std::int64_t count) const = 0;
  /// The first `count` tokens are read from `rows` from now on, which lives as long as the `KvRounder`.
  virtual void hand_over(const RoundedRows& rows, std::int64_t count) = 0;
};

/// What a `KvCachePolicy` is besides when all that it does to tokens is to replace them by rounded ones, once they were
/// read: then the others may lie elsewhere, in the layout of a faster reader.
class KvRounder {
 public:
  virtual ~KvRounder() = default;
  /// Takes over what is rounded once `length` tokens have been read and was not before.
  virtual void round(std::int64_t length, KeptTokens& keys, KeptTokens& values) = 0;
  /// What `length` tokens take when those that `round` took are kept in their rounded form, and each of the others
  /// in `token_bytes` for its keys and as many for its values.
  [[nodiscard]] virtual std::int64_t rounded_bytes(std::int64_t length, std::int64_t token_bytes) const = 0;
};

}  // namespace LOWBIT_EXPORT
