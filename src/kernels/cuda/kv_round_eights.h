#pragma once

#include "kernels/cuda/kv_round.h"
#include "kernels/cuda/layout.h"
#include "kernels/cuda/load_eight.h"

// Tokens rounded into a KvStore where a lane's eight channels side by side belong to one group of channels, or groups
// are of tokens: `KvRound`'s bits, by loads of 16 bytes.
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

/// Eight codes, of ranges `range_of(i)`: all by products, or else all by quotients.
template <typename RangeOf>
LOWBIT_HOST_DEVICE inline void round_eight(const KvStore& store, const Eight& numbers, const RangeOf& range_of,
                                           std::uint32_t (&codes)[8]) {
  bool sure = true;
  LOWBIT_UNROLL
  for (int i = 0; i < 8; ++i) codes[i] = range_of(i).near_code(store, numbers.x[i], sure);
  if (sure) return;
  LOWBIT_UNROLL
  for (int i = 0; i < 8; ++i) codes[i] = range_of(i).exact_code(store, numbers.x[i]);
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
    round_eight(
        store, numbers, [&](int) -> const KvRange& { return range; }, codes);
    store_codes(store, row, call.first + token, channel, codes);
  }
};

/// Groups of tokens: a warp takes a group of one head, each lane eight channels of some of its tokens. It reads them
/// twice, the second time from the cache.
struct KvRoundTokens {
  static constexpr int kWarps = 4;
  static constexpr int kThreads = kWarps * kLanes;
  static constexpr int kResidentBlocks = 4;
  static constexpr int kAtOnce = 4;  ///< tokens of a lane

  static int blocks(const KvRoundCall& call) {
    const std::int64_t groups = std::int64_t{call.sequences} * call.store.heads * (call.tokens / call.store.group);
    return static_cast<int>((groups + kWarps - 1) / kWarps);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const KvRoundCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    const int groups = call.tokens / call.store.group;
    const int number = thread.block(0) * kWarps + thread.index() / kLanes;
    if (number >= call.sequences * call.store.heads * groups) return;
    KvRoundTokens own(thread, call, number / groups, number % groups * call.store.group);
    own.round(thread, call);
  }

 private:
  template <typename Thread>
  LOWBIT_HOST_DEVICE KvRoundTokens(Thread& thread, const KvRoundCall& call, int row, int token)
      : row_(row), token_(token), lanes_(1) {
    while (lanes_ * 8 < call.store.channels) lanes_ *= 2;
    slots_ = kLanes / lanes_;
    slot_ = thread.index() % kLanes / lanes_;
    channel_ = thread.index() % lanes_ * 8;
  }

  // `use(token of the group, its eight numbers)`, for the tokens of this lane.
  template <typename Thread, typename Use>
  LOWBIT_HOST_DEVICE void read_group(Thread& thread, const KvRoundCall& call, const Use& use) const {
    if (channel_ >= call.store.channels) return;
    for (int base = slot_; base < call.store.group; base += kAtOnce * slots_) {
      Eight numbers[kAtOnce] = {};
      LOWBIT_UNROLL
      for (int k = 0; k < kAtOnce; ++k) {
        const int token = token_ + base + k * slots_;
        if (base + k * slots_ >= call.store.group) break;
        numbers[k] = load_eight(thread, call.kind, call.input,
                                (std::int64_t{row_} * call.tokens + token) * call.store.channels + channel_);
      }
      LOWBIT_UNROLL
      for (int k = 0; k < kAtOnce; ++k) {
        if (base + k * slots_ < call.store.group) use(base + k * slots_, numbers[k]);
      }
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void round(Thread& thread, const KvRoundCall& call) const {
    Eight least;
    Eight largest;
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) {
      least.x[i] = float_from_bits(0x7F800000U);
      largest.x[i] = float_from_bits(0xFF800000U);
    }
    read_group(thread, call, [&](int, const Eight& numbers) {
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) {
        least.x[i] = numbers.x[i] < least.x[i] ? numbers.x[i] : least.x[i];
        largest.x[i] = numbers.x[i] > largest.x[i] ? numbers.x[i] : largest.x[i];
      }
    });
    KvRange ranges[8];
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) {
      for (int mask = lanes_; mask < kLanes; mask *= 2) {
        const float other_least = thread.shuffle_xor(least.x[i], mask);
        const float other_largest = thread.shuffle_xor(largest.x[i], mask);
        least.x[i] = other_least < least.x[i] ? other_least : least.x[i];
        largest.x[i] = other_largest > largest.x[i] ? other_largest : largest.x[i];
      }
      ranges[i] = KvRange::of(call.store, least.x[i], largest.x[i]);
      if (slot_ == 0 && channel_ < call.store.channels) {
        ranges[i].keep(call.store, call.store.scale_at(row_, call.first + token_, channel_ + i));
      }
    }
    read_group(thread, call, [&](int token, const Eight& numbers) {
      std::uint32_t codes[8];
      round_eight(
          call.store, numbers, [&](int i) -> const KvRange& { return ranges[i]; }, codes);
      store_codes(call.store, row_, call.first + token_ + token, channel_, codes);
    });
  }

  int row_;
  int token_;  // the group's first
  int lanes_;  // that read a token
  int slots_;
  int slot_;
  int channel_;
};

}  // namespace lowbit::kernels::cuda
