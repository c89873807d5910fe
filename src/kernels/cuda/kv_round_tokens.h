#pragma once

#include "kernels/cuda/kv_round.h"
#include "kernels/cuda/layout.h"
#include "kernels/cuda/load_eight.h"

// Groups of tokens rounded into a KvStore: `KvRound`'s bits, where eights begin on 16 bytes.
namespace lowbit::kernels::cuda {

/// The least and the largest of two, b where a is no number; of zeros either.
LOWBIT_HOST_DEVICE inline float least_of(float a, float b) {
#ifdef __CUDA_ARCH__
  return fminf(a, b);
#else
  return a < b ? a : b;
#endif
}
LOWBIT_HOST_DEVICE inline float largest_of(float a, float b) {
#ifdef __CUDA_ARCH__
  return fmaxf(a, b);
#else
  return a > b ? a : b;
#endif
}

/// How a lane rounds a channel of a group: products alone, or where these could be wrong the quotients of `KvRange`.
struct KvChannel {
  KvRange range;
  bool by_products;

  LOWBIT_HOST_DEVICE static KvChannel of(const KvStore& store, float least, float largest) {
    KvChannel channel{KvRange::of(store, least, largest), false};
    const KvRange& range = channel.range;
    const float middle = store.minima != nullptr ? 0.0F : static_cast<float>(1 << (store.bits - 1));
    const float top = static_cast<float>((1 << store.bits) - 1);
    // All codes lie between these two; not where something is infinite or no number.
    const float lowest = (least - range.minimum) * range.reciprocal + middle;
    const float highest = (largest - range.minimum) * range.reciprocal + middle;
    channel.by_products = store.scale_kind != ScaleKind::kFloat32 && range.scale > 0x1p-60F && range.scale < 0x1p60F &&
                          lowest > -0.49F && highest < top + 0.49F;
    return channel;
  }

  /// 1.5 * 2^23 + the code, as bits. With d = x - minimum and a scale s of at most eleven bits, d / s is no nearer to
  /// where its rounding to float32 changes sides of h, half an odd number below 2^9, than 2^-12 of its last place: h s
  /// is a float32, and d is that or a whole last place off. The product is off by less than three last places, and its
  /// remainder, which is rounded once, brings it within 2^-20 of one of d / s before the last rounding.
  LOWBIT_HOST_DEVICE static std::uint32_t shifted_code(float x, float minimum, float scale, float reciprocal,
                                                       float shift) {
    const float difference = x - minimum;
    const float near = difference * reciprocal;
    const float quotient = fused(fused(-near, scale, difference), reciprocal, near);
    return bits_of_float(quotient + shift);
  }
};

/// A warp takes a group of one head. It copies the group's tokens to shared memory, all of them on their way together
/// unless they are many, and finds there the least and largest numbers and then the codes: each lane of eight channels
/// of every `slots`th token.
template <NumberKind kKind, int kBits>
class KvRoundTokens {
 public:
  static constexpr int kWarps = 4;
  static constexpr int kThreads = kWarps * kLanes;
  static constexpr int kResidentBlocks = 5;  // whose shared memory fits, of 128 channels

  static int blocks(const KvRoundCall& call) {
    const std::int64_t groups = std::int64_t{call.sequences} * call.store.heads * (call.tokens / call.store.group);
    return static_cast<int>((groups + kWarps - 1) / kWarps);
  }
  /// Words of shared memory.
  static int shared_words(const KvStore& store) { return kWarps * (kDataWords + Lanes(store, 0).range_words(store)); }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const KvRoundCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    const int groups = call.tokens / call.store.group;
    const int number = thread.block(0) * kWarps + thread.index() / kLanes;
    if (number >= call.sequences * call.store.heads * groups) return;
    const KvRoundTokens own(thread, call, number / groups, number % groups * call.store.group);
    const bool all_numbers = own.find_ranges(thread, call.store);
    own.keep_ranges(thread, call.store);
    own.round(thread, call.store, all_numbers);
  }

 private:
  static constexpr int kDataWords = 2048;  // of a warp: 32 tokens of 128 channels of 16 bits
  static constexpr int kUnits = kKind == NumberKind::kFloat32 ? 2 : 1;  // of 16 bytes, in eight numbers
  static constexpr float kShift = 12582912.0F;
  static constexpr std::uint32_t kShiftBits = 0x4B400000U;

  struct Lanes {
    int lanes;  // that read a token
    int slots;
    int slot;
    int channel;
    int each;  // words of a channel's range; before, of the least and largest of each slot

    LOWBIT_HOST_DEVICE Lanes(const KvStore& store, int lane) : lanes(1) {
      while (lanes * 8 < store.channels) lanes *= 2;
      slots = kLanes / lanes;
      slot = lane / lanes;
      channel = lane % lanes * 8;
      each = slots > 2 ? 2 * slots : 4;
    }
    // Eights of channels are moved apart, so that lanes reach other banks.
    [[nodiscard]] LOWBIT_HOST_DEVICE int range_at(int c) const { return c / 8 * (8 * each + 4) + c % 8 * each; }
    [[nodiscard]] LOWBIT_HOST_DEVICE int range_words(const KvStore& store) const { return range_at(store.channels); }
  };

  template <typename Thread>
  LOWBIT_HOST_DEVICE KvRoundTokens(Thread& thread, const KvRoundCall& call, int row, int token)
      : lane_(thread.index() % kLanes), lanes_(call.store, lane_), group_(call.store.group) {
    const KvStore& store = call.store;
    data_ = thread.index() / kLanes * (kDataWords + lanes_.range_words(store));
    ranges_ = data_ + kDataWords;
    units_ = store.channels / 8 * kUnits;
    most_ = kDataWords / 4 / units_;
    from_ = address_of(kKind, call.input, (std::int64_t{row} * call.tokens + token) * store.channels);
    scales_ = store.scale_at(row, call.first + token, 0);
    codes_ = reinterpret_cast<std::uint8_t*>(store.words) +
             (std::int64_t{row} * store.capacity + call.first + token) * (store.channels * kBits / 8);
  }

  // Copies tokens from `begin` of the group on; returns how many.
  template <typename Thread>
  LOWBIT_HOST_DEVICE int copy(Thread& thread, int begin) const {
    auto shared = thread.template shared<std::uint32_t>();
    const int tokens = group_ - begin < most_ ? group_ - begin : most_;
    const std::uint8_t* from = from_ + std::int64_t{16} * begin * units_;
    if (begin > 0) thread.sync_warp();
    for (int e = lane_; e < tokens * units_; e += kLanes) shared.copy_async16(data_ + 4 * e, from + 16 * e, true);
    thread.commit_copies();
    thread.template wait_copies<0>();
    thread.sync_warp();
    return tokens;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE Eight numbers(Thread& thread, int token) const {
    const auto shared = thread.template shared<std::uint32_t>();
    const int at = data_ + 4 * (token * units_ + lanes_.channel / 8 * kUnits);
    return eight_of(kKind, [&](int i) { return shared.load16(at + 4 * i); });
  }

  // Returns whether none of what the lane read is not a number, which leaves no trace in the ranges.
  template <typename Thread>
  LOWBIT_HOST_DEVICE bool find_ranges(Thread& thread, const KvStore& store) const {
    float sum = 0.0F;
    float least[8];
    float largest[8];
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) {
      least[i] = float_from_bits(0x7F800000U);
      largest[i] = float_from_bits(0xFF800000U);
    }
    LOWBIT_NO_UNROLL
    for (int begin = 0; begin < group_; begin += most_) {
      const int tokens = copy(thread, begin);
      if (lanes_.channel >= store.channels) continue;
      for (int token = lanes_.slot; token < tokens; token += lanes_.slots) {
        const Eight x = numbers(thread, token);
        LOWBIT_UNROLL
        for (int i = 0; i < 8; ++i) {
          least[i] = least_of(x.x[i], least[i]);
          largest[i] = largest_of(x.x[i], largest[i]);
        }
        sum += ((x.x[0] + x.x[1]) + (x.x[2] + x.x[3])) + ((x.x[4] + x.x[5]) + (x.x[6] + x.x[7]));
      }
    }
    if (lanes_.channel < store.channels) {
      auto shared = thread.template shared<float>();
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) {
        const int at = ranges_ + lanes_.range_at(lanes_.channel + i) + 2 * lanes_.slot;
        shared.store(at, least[i]);
        shared.store(at + 1, largest[i]);
      }
    }
    thread.sync_warp();
    return sum == sum;
  }

  // Each lane of other channels, whatever tokens it read.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void keep_ranges(Thread& thread, const KvStore& store) const {
    auto shared = thread.template shared<float>();
    LOWBIT_NO_UNROLL
    for (int c = lane_; c < store.channels; c += kLanes) {
      const int at = ranges_ + lanes_.range_at(c);
      float least = shared.load(at);
      float largest = shared.load(at + 1);
      LOWBIT_NO_UNROLL
      for (int slot = 1; slot < lanes_.slots; ++slot) {
        least = least_of(shared.load(at + 2 * slot), least);
        largest = largest_of(shared.load(at + 2 * slot + 1), largest);
      }
      const KvChannel channel = KvChannel::of(store, least, largest);
      channel.range.keep(store, scales_ + c);
      shared.store16(at, {{bits_of_float(channel.range.minimum), bits_of_float(channel.range.scale),
                           bits_of_float(channel.range.reciprocal), channel.by_products ? 1U : 0U}});
    }
    thread.sync_warp();
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void round(Thread& thread, const KvStore& store, bool by_products) const {
    const auto shared = thread.template shared<std::uint32_t>();
    const bool present = lanes_.channel < store.channels;
    KvRange ranges[8];
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) {
      const Word4 words = shared.load16(ranges_ + (present ? lanes_.range_at(lanes_.channel + i) : 0));
      ranges[i] = {float_from_bits(words.x[1]), float_from_bits(words.x[0]), float_from_bits(words.x[2])};
      by_products = by_products && words.x[3] != 0;
    }
    const int token_bytes = store.channels * kBits / 8;
    LOWBIT_NO_UNROLL
    for (int begin = 0; begin < group_; begin += most_) {
      const int tokens = group_ > most_ ? copy(thread, begin) : group_;
      if (!present) continue;
      std::uint8_t* to = codes_ + (begin + lanes_.slot) * token_bytes + lanes_.channel / 8 * kBits;
      for (int token = lanes_.slot; token < tokens; token += lanes_.slots) {
        const Eight x = numbers(thread, token);
        if (by_products) {
          store_products(store, ranges, x, to);
        } else {
          store_quotients(store, ranges, x, to);
        }
        to += lanes_.slots * token_bytes;
      }
    }
  }

  // Bytes of eight codes: bits of them.
  LOWBIT_HOST_DEVICE static void store_words(std::uint8_t* to, const std::uint32_t (&words)[2]) {
    if constexpr (kBits == 2) {
      *reinterpret_cast<std::uint16_t*>(to) = static_cast<std::uint16_t>(words[0]);
    } else {
      reinterpret_cast<std::uint32_t*>(to)[0] = words[0];
      if constexpr (kBits == 8) reinterpret_cast<std::uint32_t*>(to)[1] = words[1];
    }
  }

  // What is added to codes' bits comes off a whole word at once.
  LOWBIT_HOST_DEVICE static void store_products(const KvStore& store, const KvRange (&ranges)[8], const Eight& x,
                                                std::uint8_t* to) {
    constexpr int kPerWord = kBits == 8 ? 4 : 8;
    const float shift = kShift + (store.minima != nullptr ? 0.0F : static_cast<float>(1 << (kBits - 1)));
    std::uint32_t excess = 0;
    LOWBIT_UNROLL
    for (int i = 0; i < kPerWord; ++i) excess += kShiftBits << (i * kBits);
    std::uint32_t words[2] = {0U - excess, 0U - excess};
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) {
      const KvRange& range = ranges[i];
      words[i / kPerWord] += KvChannel::shifted_code(x.x[i], range.minimum, range.scale, range.reciprocal, shift)
                             << (i % kPerWord * kBits);
    }
    store_words(to, words);
  }

  LOWBIT_HOST_DEVICE static void store_quotients(const KvStore& store, const KvRange (&ranges)[8], const Eight& x,
                                                 std::uint8_t* to) {
    constexpr int kPerWord = kBits == 8 ? 4 : 8;
    std::uint32_t words[2] = {0, 0};
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) words[i / kPerWord] |= ranges[i].exact_code(store, x.x[i]) << (i % kPerWord * kBits);
    store_words(to, words);
  }

  int lane_;
  Lanes lanes_;
  int group_;                 // tokens
  int data_;                  // the warp's words of shared memory: of tokens, and
  int ranges_;                // of what their channels are rounded with
  int units_;                 // of 16 bytes, of a token
  int most_;                  // tokens that have room
  const std::uint8_t* from_;  // the group's
  std::int64_t scales_;
  std::uint8_t* codes_;
};

}  // namespace lowbit::kernels::cuda
