#pragma once

#include "kernels/cuda/kv_store.h"

// Tokens rounded into a KvStore.
namespace lowbit::kernels::cuda {

struct KvRoundCall {
  KvStore store;
  const void* input;  ///< [sequences][heads][tokens][channels] of `kind`
  NumberKind kind;
  std::int32_t sequences;
  std::int32_t tokens;  ///< a multiple of the group where groups are of tokens
  std::int32_t first;   ///< where the first of them goes; likewise
};

/// What a group's numbers are rounded with. With bits b and the numbers' least and largest l and h: scale = (h - l) /
/// (2^b - 1) behind l rounded to its kept form; symmetric: max(-l, h) / (2^(b-1) - 1). A code is the nearest, (x - l) /
/// scale, ties to even.
struct KvRange {
  float scale;
  float minimum;
  float reciprocal;

  LOWBIT_HOST_DEVICE static KvRange of(const KvStore& store, float least, float largest) {
    KvRange range = {0.0F, 0.0F, 0.0F};
    float span = -least > largest ? -least : largest;
    float steps = static_cast<float>((1 << (store.bits - 1)) - 1);
    if (store.minima != nullptr) {
      range.minimum = store.as_kept(least);
      span = largest - range.minimum;
      steps = static_cast<float>((1 << store.bits) - 1);
    }
    range.scale = store.as_kept(quotient(span > 0.0F ? span : 0.0F, steps));
    range.reciprocal = quotient(1.0F, range.scale);
    return range;
  }
  LOWBIT_HOST_DEVICE void keep(const KvStore& store, std::int64_t at) const {
    if (store.minima != nullptr) store.keep(store.minima, at, minimum);
    store.keep(store.scales, at, scale);
  }

  LOWBIT_HOST_DEVICE std::uint32_t code(const KvStore& store, float x) const {
    bool sure = true;
    const std::uint32_t near = near_code(store, x, sure);
    return sure ? near : exact_code(store, x);
  }

  /// The quotient is rounded before it is rounded to a whole number, as on the CPU. A product with the reciprocal is
  /// within three units of 2^-24 of it, so below 2^(bits + 1) within 2^(bits - 21); unless it is as close to a half,
  /// it has the same nearest whole number, which a sum with 1.5 * 2^23 leaves in the lowest bits.
  LOWBIT_HOST_DEVICE std::uint32_t near_code(const KvStore& store, float x, bool& sure) const {
    const float near = (x - minimum) * reciprocal;
    const float shift = kShift + static_cast<float>(middle(store));
    const float shifted = near + shift;
    const float off = near - (shifted - shift);
    const float reach = static_cast<float>(2 << store.bits);
    const bool in_reach = std::fabs(near) < reach;
    const bool off_half = std::fabs(off) < 0.5F - reach * 0x1p-22F;
    sure = sure & in_reach & off_half;  // without branches
    return clamped(store, static_cast<int>(bits_of_float(shifted)) - static_cast<int>(bits_of_float(kShift)));
  }
  LOWBIT_HOST_DEVICE std::uint32_t exact_code(const KvStore& store, float x) const {
    float steps = scale > 0.0F ? quotient(x - minimum, scale) : 0.0F;
    // A kept scale may be far too small for the numbers, or no number.
    steps = steps < 512.0F ? (steps > -512.0F ? steps : -512.0F) : 512.0F;
    return clamped(store, nearest_integer(steps) + middle(store));
  }

 private:
  static constexpr float kShift = 12582912.0F;

  // The code of zero, which is even, so that ties go to the same side with it.
  LOWBIT_HOST_DEVICE static int middle(const KvStore& store) {
    return store.minima != nullptr ? 0 : 1 << (store.bits - 1);
  }
  LOWBIT_HOST_DEVICE static std::uint32_t clamped(const KvStore& store, int code) {
    const int top = (1 << store.bits) - 1;
    return static_cast<std::uint32_t>(code < 0 ? 0 : code > top ? top : code);
  }
};

/// A block rounds one token of a head, or the tokens of one group, whatever their sizes: scales from the least and the
/// largest number of each group, then codes.
class KvRound {
 public:
  static constexpr int kThreads = 128;
  static constexpr int kResidentBlocks = 1;
  static constexpr int kMostChannels = 256;
  static constexpr int kSharedWords = 3 * kMostChannels;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const KvRoundCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    const KvStore& store = call.store;
    const int run = store.of_tokens != 0 ? store.group : 1;
    const int width = store.of_tokens != 0 ? 1 : store.group;  // channels of a scale
    const int token = thread.block(1) * run;
    auto shared = thread.template shared<float>();
    for (int g = thread.index(); g * width < store.channels; g += kThreads) {
      const int end = (g + 1) * width < store.channels ? (g + 1) * width : store.channels;
      const KvRange range = range_of(call, thread.block(0), token, run, g * width, end);
      range.keep(store, store.scale_at(thread.block(0), call.first + token, g * width));
      shared.store(3 * g, range.scale);
      shared.store(3 * g + 1, range.minimum);
      shared.store(3 * g + 2, range.reciprocal);
    }
    thread.sync();
    for (int w = thread.index(); w < run * store.row_words(); w += kThreads) {
      store_word(thread, call, token + w / store.row_words(), w % store.row_words() * 32 / store.bits, width);
    }
  }

 private:
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void store_word(Thread& thread, const KvRoundCall& call, int token, int channel,
                                            int width) {
    const KvStore& store = call.store;
    const auto shared = thread.template shared<float>();
    const std::int64_t row = thread.block(0);
    std::uint32_t word = 0;
    for (int i = 0; i < 32 / store.bits; ++i) {
      const int group = (channel + i) / width;
      const float x = input(call, row, token, channel + i);
      const KvRange range = {shared.load(3 * group), shared.load(3 * group + 1), shared.load(3 * group + 2)};
      word |= range.code(store, x) << (i * store.bits);
    }
    store.words[store.word_at(row, call.first + token, channel)] = word;
  }

  LOWBIT_HOST_DEVICE static float input(const KvRoundCall& call, std::int64_t row, int token, int channel) {
    return load_number(call.kind, call.input, (row * call.tokens + token) * call.store.channels + channel);
  }

  LOWBIT_HOST_DEVICE static KvRange range_of(const KvRoundCall& call, std::int64_t row, int token, int run, int begin,
                                             int end) {
    float least = input(call, row, token, begin);
    float largest = least;
    for (int t = token; t < token + run; ++t) {
      for (int c = begin; c < end; ++c) {
        const float x = input(call, row, t, c);
        least = x < least ? x : least;
        largest = x > largest ? x : largest;
      }
    }
    return KvRange::of(call.store, least, largest);
  }
};

}  // namespace lowbit::kernels::cuda
