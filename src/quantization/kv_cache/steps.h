#pragma once

#include <cstdint>

#include "lowbit/config/fields.h"
#include "quantization/kv_cache/rounded_cache.h"

namespace lowbit {

/// Keys and values rounded alike.
struct KvCacheOptions {
  enum class Per { kToken, kChannel };
  std::int64_t bits = 8;
  Per per = Per::kToken;
  std::int64_t group = 32;
  bool symmetric = false;
  std::int64_t window = 0;
  ScaleType scale = ScaleType::kFloat16;
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
  [[nodiscard]] RoundedCacheOptions cache() const;
};

/// Liu et al., KIVI: keys per channel, values per token, and the most recent tokens as they are.
struct KiviOptions {
  std::int64_t bits = 2;
  std::int64_t group = 32;
  std::int64_t window = 128;
  ScaleType scale = ScaleType::kFloat16;
  void visit(FieldVisitor& v);
  void validate(ConfigProblems& problems, const SourceMark& mark) const;
  [[nodiscard]] RoundedCacheOptions cache() const;
};

}  // namespace lowbit
