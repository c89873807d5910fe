#pragma once

#include "kernels/cuda/arithmetic.h"

// Queries and keys of the newest token turned by its position, and its keys and values put into the caches.
namespace lowbit::kernels::cuda {

struct RotateCall {
  std::uint16_t* queries;       ///< [sequences][heads][channels], bfloat16, turned in place
  const std::uint16_t* keys;    ///< [sequences][kv_heads][channels]
  const std::uint16_t* values;  ///< likewise
  std::uint16_t* key_cache;     ///< [sequences][kv_heads][capacity][channels]
  std::uint16_t* value_cache;   ///< likewise
  const float* cos;             ///< [positions][channels]
  const float* sin;             ///< likewise
  const std::int32_t* position;
  std::int32_t sequences;
  std::int32_t heads;
  std::int32_t kv_heads;
  std::int32_t channels;  ///< even, at most 256
  std::int32_t capacity;
};

/// x cos + turned x sin, where the two halves of a head are turned into each other: products and sum in float32,
/// rounded to bfloat16 once. The position is read from the GPU's memory, so that one recorded launch serves all of
/// them. A block takes a head: those of queries, of keys, then of values.
struct RotateAppend {
  static constexpr int kThreads = 128;
  static constexpr int kResidentBlocks = 4;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const RotateCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    const auto position = static_cast<int>(thread.read4(call.position));
    const int sequence = thread.block(1);
    const int head = thread.block(0);
    if (head < call.heads) {
      std::uint16_t* own = call.queries + (std::int64_t{sequence} * call.heads + head) * call.channels;
      return turn(thread, call, position, own, own);
    }
    const bool is_key = head < call.heads + call.kv_heads;
    const std::int64_t row = std::int64_t{sequence} * call.kv_heads + (head - call.heads) % call.kv_heads;
    const std::uint16_t* from = (is_key ? call.keys : call.values) + row * call.channels;
    std::uint16_t* to = (is_key ? call.key_cache : call.value_cache) + (row * call.capacity + position) * call.channels;
    if (is_key) return turn(thread, call, position, from, to);
    for (int c = thread.index(); c < call.channels; c += kThreads) to[c] = from[c];
  }

 private:
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void turn(Thread& thread, const RotateCall& call, int position, const std::uint16_t* from,
                                      std::uint16_t* to) {
    const int half = call.channels / 2;
    const int i = thread.index();
    if (i >= half) return;
    const float* cos = call.cos + std::int64_t{position} * call.channels + i;
    const float* sin = call.sin + std::int64_t{position} * call.channels + i;
    const float first = bfloat16_as_float(from[i]);
    const float second = bfloat16_as_float(from[i + half]);
    to[i] = as_bfloat16(first * cos[0] - second * sin[0]);
    to[i + half] = as_bfloat16(second * cos[half] + first * sin[half]);
  }
};

}  // namespace lowbit::kernels::cuda
