#pragma once

#include "device.h"
#include "kernels/cuda/attention_call.h"

namespace lowbit::gpu_verify {

/// Numbers that share a scale: tokens of a channel where groups are of tokens, else channels of a token.
inline constexpr int kCacheGroup = 32;

/// Scales of a cache of `rows` heads, of all sequences together.
inline std::size_t scale_count(int rows, int channels, int capacity, bool of_tokens) {
  const int of_head =
      of_tokens ? capacity / kCacheGroup * channels : capacity * ((channels + kCacheGroup - 1) / kCacheGroup);
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(of_head);
}

}  // namespace lowbit::gpu_verify
