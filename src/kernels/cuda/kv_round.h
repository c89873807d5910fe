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

/// A block rounds one token of a head, or the tokens of one group: scales from the least and the largest number of each
/// group, then codes. With bits b and the numbers' least and largest l and h: scale = (h - l) / (2^b - 1) behind l
/// rounded to its kept form; symmetric: max(-l, h) / (2^(b-1) - 1). A code is the nearest, (x - l) / scale, ties to
/// even.
class KvRound {
 public:
  static constexpr int kThreads = 128;
  static constexpr int kResidentBlocks = 1;
  static constexpr int kMostChannels = 256;
  static constexpr int kSharedWords = 2 * kMostChannels;

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
      const Range range = range_of(call, thread.block(0), token, run, g * width, end);
      shared.store(2 * g, range.scale);
      shared.store(2 * g + 1, range.minimum);
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
      word |= code_of(store, x, shared.load(2 * group), shared.load(2 * group + 1)) << (i * store.bits);
    }
    store.words[store.word_at(row, call.first + token, channel)] = word;
  }

  struct Range {
    float scale;
    float minimum;
  };

  LOWBIT_HOST_DEVICE static float input(const KvRoundCall& call, std::int64_t row, int token, int channel) {
    return load_number(call.kind, call.input, (row * call.tokens + token) * call.store.channels + channel);
  }

  LOWBIT_HOST_DEVICE static Range range_of(const KvRoundCall& call, std::int64_t row, int token, int run, int begin,
                                           int end) {
    const KvStore& store = call.store;
    float least = input(call, row, token, begin);
    float largest = least;
    for (int t = token; t < token + run; ++t) {
      for (int c = begin; c < end; ++c) {
        const float x = input(call, row, t, c);
        least = x < least ? x : least;
        largest = x > largest ? x : largest;
      }
    }
    const std::int64_t at = store.scale_at(row, call.first + token, begin);
    Range range = {0.0F, 0.0F};
    float span = -least > largest ? -least : largest;
    float steps = static_cast<float>((1 << (store.bits - 1)) - 1);
    if (store.minima != nullptr) {
      range.minimum = store.keep(store.minima, at, least);
      span = largest - range.minimum;
      steps = static_cast<float>((1 << store.bits) - 1);
    }
    range.scale = store.keep(store.scales, at, quotient(span > 0.0F ? span : 0.0F, steps));
    return range;
  }

  LOWBIT_HOST_DEVICE static std::uint32_t code_of(const KvStore& store, float x, float scale, float minimum) {
    const int middle = store.minima != nullptr ? 0 : 1 << (store.bits - 1);
    const int top = (1 << store.bits) - 1;
    float steps = scale > 0.0F ? quotient(x - minimum, scale) : 0.0F;
    // A kept scale may be far too small for the numbers, or no number.
    steps = steps < 512.0F ? (steps > -512.0F ? steps : -512.0F) : 512.0F;
    const int code = nearest_integer(steps) + middle;
    return static_cast<std::uint32_t>(code < 0 ? 0 : code > top ? top : code);
  }
};

}  // namespace lowbit::kernels::cuda
