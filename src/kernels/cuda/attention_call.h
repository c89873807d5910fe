#pragma once

#include "kernels/cuda/kv_store.h"

namespace lowbit::kernels::cuda {

struct AttentionCall {
  KvStore keys;
  KvStore values;
  const void* queries;  ///< [sequences][heads][channels] of `kind`
  void* output;         ///< likewise
  NumberKind kind;
  std::int32_t sequences;
  std::int32_t repeats;  ///< query heads of a KV head
  std::int32_t first;    ///< the first token that is seen; 0 without a window
  std::int32_t length;   ///< one behind the last
  float scale;
  std::int32_t splits;      ///< parts that the tokens are dealt to
  float* partials;          ///< as `attention_partial_floats`, for more than one split
  std::uint32_t* arrivals;  ///< [units], zero before and after
};

/// Channels of a head.
inline constexpr int kMostHeadChannels = 256;
/// Parts of a sequence that are joined at most.
inline constexpr int kMostAttentionSplits = 256;

/// Query heads that a block takes: each alone, or four that share their keys and values.
LOWBIT_HOST_DEVICE constexpr int attention_heads(int repeats) { return repeats == 1 ? 1 : 4; }

/// Blocks of each part: [sequences][KV heads][groups of query heads].
constexpr std::int64_t attention_units(int sequences, int kv_heads, int repeats) {
  const int heads = attention_heads(repeats);
  return std::int64_t{sequences} * kv_heads * ((repeats + heads - 1) / heads);
}

/// Floats in which `parts` of a sequence wait for each other.
constexpr std::int64_t attention_partial_floats(std::int64_t units, int repeats, int parts, int channels) {
  return parts == 1 ? 0 : units * parts * attention_heads(repeats) * (2 + channels);
}

/// So many parts that a multiprocessor has two blocks, and each part 128 tokens.
constexpr int choose_attention_splits(std::int64_t units, int tokens, int multiprocessors) {
  const std::int64_t wanted = (2 * multiprocessors + units - 1) / (units > 0 ? units : 1);
  const int most = tokens > 128 * kMostAttentionSplits ? kMostAttentionSplits : (tokens + 127) / 128;
  return static_cast<int>(wanted < 1 ? 1 : wanted < most ? wanted : most > 1 ? most : 1);
}

}  // namespace lowbit::kernels::cuda
