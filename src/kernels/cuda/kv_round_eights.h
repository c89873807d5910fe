#pragma once

#include "kernels/cuda/kv_round.h"
#include "kernels/cuda/layout.h"
#include "kernels/cuda/load_eight.h"

// Tokens rounded into a KvStore where a lane's eight channels side by side belong to one group of channels: `KvRound`'s
// bits, by loads of 16 bytes.
namespace lowbit::kernels::cuda {

/// Whether eights begin where loads of 16 bytes do, and groups where eights do.
inline bool rounds_by_eights(const KvRoundCall& call) {
  const KvStore& store = call.store;
  const std::int64_t numbers = std::int64_t{call.sequences} * store.heads * call.tokens * store.channels;
  if (store.channels % 8 != 0 || numbers >= std::int64_t{1} << 31) return false;
  if (reinterpret_cast<std::uintptr_t>(call.input) % 16 != 0) return false;
  const int lanes = store.group / 8;
  const bool even = store.group % 8 == 0 && (lanes & (lanes - 1)) == 0 && lanes <= kLanes;
  return store.of_tokens != 0 || (even && store.channels % store.group == 0);
}

/// Eight codes, the first in the lowest bits.
LOWBIT_HOST_DEVICE inline void store_codes(const KvStore& store, std::int64_t row, int token, int channel,
                                           const std::uint32_t (&codes)[8]) {
  std::uint32_t words[2] = {0, 0};
  LOWBIT_UNROLL
  for (int i = 0; i < 8; ++i) {
    if (i >= 4 && store.bits == 8) {
      words[1] |= codes[i] << (8 * i - 32);
    } else {
      words[0] |= codes[i] << (i * store.bits);
    }
  }
  std::uint32_t* to = store.words + store.word_at(row, token, channel);
  if (store.bits == 2) {
    reinterpret_cast<std::uint16_t*>(to)[channel / 8 % 2] = static_cast<std::uint16_t>(words[0]);
    return;
  }
  to[0] = words[0];
  if (store.bits == 8) to[1] = words[1];
}

/// Eight codes: all by products, or else all by quotients.
LOWBIT_HOST_DEVICE inline void round_eight(const KvStore& store, const Eight& numbers, const KvRange& range,
                                           std::uint32_t (&codes)[8]) {
  bool sure = true;
  LOWBIT_UNROLL
  for (int i = 0; i < 8; ++i) codes[i] = range.near_code(store, numbers.x[i], sure);
  if (sure) return;
  LOWBIT_UNROLL
  for (int i = 0; i < 8; ++i) codes[i] = range.exact_code(store, numbers.x[i]);
}

/// Groups of channels: as many lanes as a group has eights take it together.
struct KvRoundChannels {
  static constexpr int kThreads = 256;
  static constexpr int kResidentBlocks = 4;
  static constexpr int kAtOnce = 2;  ///< eights of a thread, whose loads are on their way together

  static int blocks(const KvRoundCall& call) {
    const std::int64_t eights = std::int64_t{call.sequences} * call.store.heads * call.tokens * call.store.channels / 8;
    return static_cast<int>((eights + kThreads * kAtOnce - 1) / (kThreads * kAtOnce));
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const KvRoundCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    const KvStore& store = call.store;
    const int count = call.sequences * store.heads * call.tokens * (store.channels / 8);
    const int first = thread.block(0) * kThreads * kAtOnce + thread.index();
    Eight numbers[kAtOnce] = {};
    LOWBIT_UNROLL
    for (int k = 0; k < kAtOnce; ++k) {
      const int eight = first + k * kThreads;
      if (eight < count) numbers[k] = load_eight(thread, call.kind, call.input, std::int64_t{eight} * 8);
    }
    LOWBIT_UNROLL
    for (int k = 0; k < kAtOnce; ++k) round(thread, call, first + k * kThreads, count, numbers[k]);
  }

 private:
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void round(Thread& thread, const KvRoundCall& call, int eight, int count,
                                       const Eight& numbers) {
    const KvStore& store = call.store;
    float least = numbers.x[0];
    float largest = numbers.x[0];
    LOWBIT_UNROLL
    for (int i = 1; i < 8; ++i) {
      least = numbers.x[i] < least ? numbers.x[i] : least;
      largest = numbers.x[i] > largest ? numbers.x[i] : largest;
    }
    for (int mask = 1; mask < store.group / 8; mask *= 2) {
      const float other_least = thread.shuffle_xor(least, mask);
      const float other_largest = thread.shuffle_xor(largest, mask);
      least = other_least < least ? other_least : least;
      largest = other_largest > largest ? other_largest : largest;
    }
    if (eight >= count) return;
    const int in_token = store.channels / 8;
    const int channel = eight % in_token * 8;
    const int token = eight / in_token % call.tokens;
    const int row = eight / in_token / call.tokens;
    const KvRange range = KvRange::of(store, least, largest);
    if (channel % store.group == 0) range.keep(store, store.scale_at(row, call.first + token, channel));
    std::uint32_t codes[8];
    round_eight(store, numbers, range, codes);
    store_codes(store, row, call.first + token, channel, codes);
  }
};

}  // namespace lowbit::kernels::cuda
