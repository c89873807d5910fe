#pragma once

#include "kernels/cuda/arrival.h"
#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/head_shares.h"
#include "kernels/cuda/rotate.h"

// Attention of the newest token of each sequence to caches of bfloat16 numbers, at a position that is read from the
// GPU's memory, so that one recorded launch serves all of them. It turns queries and keys by their position, and puts
// the newest key and value into the caches.
namespace lowbit::kernels::cuda {

/// The position, the cosines and sines and the caches' older tokens are read before the kernel launched before this one
/// has ended: what writes them must have ended when that one began.
struct CachedAttentionCall {
  const std::uint16_t* queries;     ///< [sequences][kv_heads * repeats][channels], bfloat16, not turned yet
  const std::uint16_t* new_keys;    ///< [sequences][kv_heads][channels], not turned yet
  const std::uint16_t* new_values;  ///< likewise
  std::uint16_t* keys;              ///< [sequences][kv_heads][capacity][channels]
  std::uint16_t* values;            ///< likewise
  std::uint16_t* output;            ///< as queries
  const float* cos;                 ///< [positions][channels]
  const float* sin;                 ///< likewise
  const std::int32_t* position;     ///< of the newest token
  std::int32_t sequences;
  std::int32_t kv_heads;
  std::int32_t repeats;   ///< query heads of a KV head
  std::int32_t channels;  ///< a multiple of 8, at most 256
  std::int32_t capacity;
  std::int32_t window;  ///< tokens that are seen at most; 0: all
  float scale;
  float* partials;          ///< as `attention_partial_floats`
  std::uint32_t* arrivals;  ///< [units], zero before and after
};

/// The tokens that are seen, dealt to at most `most` parts of equal size. It follows from their number and from the
/// heads alone, so that a token's bits depend on neither the batch, nor the capacity, nor the GPU.
struct AttentionParts {
  static constexpr int kTokens = 64;  ///< of a part, or a multiple
  /// A lane of a warp joins each. Where query heads share keys and values there are fewer KV heads, so more parts.
  LOWBIT_HOST_DEVICE static constexpr int most_of(int heads) { return heads == 1 ? 16 : kLanes; }

  int first;
  int length;  ///< one behind the last token
  int each;
  int count;

  LOWBIT_HOST_DEVICE AttentionParts(int tokens, int window, int most)
      : first(window > 0 && tokens > window ? tokens - window : 0), length(tokens) {
    const int seen = length - first;
    each = kTokens * ((seen + kTokens * most - 1) / (kTokens * most));
    count = (seen + each - 1) / each;
  }
  /// That there may be of a call.
  LOWBIT_HOST_DEVICE static constexpr int most(const CachedAttentionCall& call) {
    const int tokens = call.window > 0 && call.window < call.capacity ? call.window : call.capacity;
    const int parts = (tokens + kTokens - 1) / kTokens;
    const int limit = most_of(attention_heads(call.repeats));
    return parts < limit ? parts : limit;
  }
};

/// A block reads a part of the tokens for up to kHeads query heads of one KV head. kSlotLanes lanes, which take eight
/// channels each, are a slot; a block's slots take tokens in turn. A slot keeps for each head the largest score m, the
/// sum of exp(score - m), and the values' sums with these weights. Values' sums of slots and then of parts are added in
/// order, weights as a tree.
template <int kHeads, int kSlotLanes>
class CachedAttention {
 public:
  static constexpr int kThreads = 256;
  static constexpr int kResidentBlocks = 2;
  static constexpr int kSlots = kThreads / kSlotLanes;
  static constexpr int kWidth = kSlotLanes * 8;  ///< channels that a slot has room for
  static_assert(kSlots <= kLanes && kSlotLanes <= kLanes && kHeads * kLanes <= kThreads);
  static constexpr int kStatesAt = kHeads * kSlots * kWidth;
  static constexpr int kSharesAt = kStatesAt + 2 * kHeads * kSlots;
  using Shares = HeadShares<kHeads, kSharesAt>;
  static constexpr int kFlagAt = kSharesAt + Shares::kWords;
  static constexpr int kSharedWords = kFlagAt + 1;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const CachedAttentionCall& call) {
    thread.allow_next_grid();
    const auto position = static_cast<int>(thread.read4(call.position));
    const AttentionParts parts(position + 1, call.window, AttentionParts::most_of(kHeads));
    if (thread.block(1) >= parts.count) return;
    CachedAttention own(thread, call, parts);
    own.read_tokens(thread, call);
    own.join_slots(thread, call);
    if (parts.count > 1) own.join_parts(thread, call);
  }

 private:
  // Tokens of a slot whose keys and values are on their way at once.
  static constexpr int kAhead = 4;
  static constexpr int kRound = kSlots * kAhead;
  using Tokens = Word4[kAhead];
  using Scores = float[kHeads][kAhead];

  template <typename Thread>
  LOWBIT_HOST_DEVICE CachedAttention(Thread& thread, const CachedAttentionCall& call, const AttentionParts& parts)
      : parts_(parts), slot_(thread.index() / kSlotLanes), channel_(thread.index() % kSlotLanes * 8) {
    const int groups = (call.repeats + kHeads - 1) / kHeads;
    row_ = thread.block(0) / groups;
    head_ = thread.block(0) % groups * kHeads;
    begin_ = parts_.first + thread.block(1) * parts_.each;
    end_ = begin_ + parts_.each < parts_.length ? begin_ + parts_.each : parts_.length;
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      largest_[h] = below_all();
      weights_[h] = 0.0F;
      sums_[h] = {};
    }
  }

  LOWBIT_HOST_DEVICE bool has_head(const CachedAttentionCall& call, int h) const { return head_ + h < call.repeats; }
  LOWBIT_HOST_DEVICE std::int64_t query_at(const CachedAttentionCall& call, int h) const {
    return (row_ * call.repeats + head_ + h) * call.channels;
  }
  LOWBIT_HOST_DEVICE bool has_newest() const { return end_ == parts_.length; }
  LOWBIT_HOST_DEVICE int newest() const { return parts_.length - 1; }
  // Whether the slot's token of a round is one of the part's that the cache holds.
  LOWBIT_HOST_DEVICE bool is_cached(int base, int u) const {
    const int token = base + u * kSlots + slot_;
    return token < end_ && token != newest();
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void read_tokens(Thread& thread, const CachedAttentionCall& call) {
    const bool has_channels = channel_ < call.channels;
    const int channel = has_channels ? channel_ : 0;
    const std::int64_t cache_at = row_ * call.capacity * call.channels + channel;
    const auto load = [&](const std::uint16_t* cache, int base, Tokens& target) {
      LOWBIT_UNROLL
      for (int u = 0; u < kAhead; ++u) {
        target[u] = {};
        if (!has_channels || !is_cached(base, u)) continue;
        target[u] = thread.read16(cache + cache_at + std::int64_t{base + u * kSlots + slot_} * call.channels);
      }
    };
    Tokens keys;
    Tokens values;
    load(call.keys, begin_, keys);
    load(call.values, begin_, values);
    const std::int64_t angles = std::int64_t{newest()} * call.channels;
    const Turn turn(thread, call.cos + angles, call.sin + angles, channel, call.channels);
    thread.wait_for_previous_grid();
    Eight queries[kHeads] = {};
    Word4 newest_key = {};
    Word4 newest_value = {};
    if (has_channels) {
      typename Turn::Raw raw[kHeads] = {};
      LOWBIT_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        if (has_head(call, h)) raw[h] = turn.read(thread, call.queries + query_at(call, h));
      }
      if (has_newest()) {
        newest_value = thread.read16(call.new_values + row_ * call.channels + channel);
        newest_key = turn.turned(turn.read(thread, call.new_keys + row_ * call.channels));
      }
      LOWBIT_UNROLL
      for (int h = 0; h < kHeads; ++h) queries[h] = as_floats(turn.turned(raw[h]));
    }
    if (has_newest()) {
      if (has_channels && head_ == 0 && slot_ == 0) {
        store_eight(call.keys + cache_at + angles, newest_key);
        store_eight(call.values + cache_at + angles, newest_value);
      }
      begin_with(thread, queries, newest_key, newest_value, call.scale);
    }
    for (int base = begin_; base < end_; base += kRound) {
      Scores scores;
      score_tokens(thread, queries, keys, scores);
      weigh_tokens(base, call.scale, scores);
      load(call.keys, base + kRound, keys);
      add_tokens(scores, values);
      load(call.values, base + kRound, values);
    }
  }

  // The newest token comes from the product that made it, and is the first one of the first slot.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void begin_with(Thread& thread, const Eight (&queries)[kHeads], const Word4& key,
                                     const Word4& value, float scale) {
    float scores[kHeads][1];
    score_tokens(thread, queries, {key}, scores);
    if (slot_ != 0) return;
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      largest_[h] = scores[h][0] * scale;
      weights_[h] = 1.0F;
      sums_[h] = as_floats(value);
    }
  }

  template <typename Thread, int kCount>
  LOWBIT_HOST_DEVICE static void score_tokens(Thread& thread, const Eight (&queries)[kHeads],
                                              const Word4 (&keys)[kCount], float (&scores)[kHeads][kCount]) {
    LOWBIT_UNROLL
    for (int u = 0; u < kCount; ++u) {
      const Eight key = as_floats(keys[u]);
      LOWBIT_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        scores[h][u] = 0.0F;
        LOWBIT_UNROLL
        for (int i = 0; i < 8; ++i) scores[h][u] = fused(queries[h].x[i], key.x[i], scores[h][u]);
      }
    }
    // Every lane of a slot comes to the same sum: partners add the same two numbers.
    LOWBIT_UNROLL
    for (int mask = kSlotLanes / 2; mask > 0; mask /= 2) {
      LOWBIT_UNROLL
      for (int e = 0; e < kHeads * kCount; ++e) {
        scores[e / kCount][e % kCount] += thread.shuffle_xor(scores[e / kCount][e % kCount], mask);
      }
    }
  }

  // Scores become weights, which are nothing for tokens that are not among the cache's.
  LOWBIT_HOST_DEVICE void weigh_tokens(int base, float scale, Scores& scores) {
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      float largest = largest_[h];
      LOWBIT_UNROLL
      for (int u = 0; u < kAhead; ++u) {
        scores[h][u] = is_cached(base, u) ? scores[h][u] * scale : below_all();
        largest = scores[h][u] > largest ? scores[h][u] : largest;
      }
      const float reference = largest == below_all() ? 0.0F : largest;  // so that infinity is not taken from itself
      const float kept = exponential(largest_[h] - reference);
      largest_[h] = largest;
      weights_[h] *= kept;
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) sums_[h].x[i] *= kept;
      LOWBIT_UNROLL
      for (int u = 0; u < kAhead; ++u) {
        scores[h][u] = exponential(scores[h][u] - reference);
        weights_[h] += scores[h][u];
      }
    }
  }

  LOWBIT_HOST_DEVICE void add_tokens(const Scores& scores, const Tokens& values) {
    LOWBIT_UNROLL
    for (int u = 0; u < kAhead; ++u) {
      const Eight value = as_floats(values[u]);
      LOWBIT_UNROLL
      for (int e = 0; e < kHeads * 8; ++e) {
        float& sum = sums_[e / 8].x[e % 8];
        sum = fused(scores[e / 8][u], value.x[e % 8], sum);
      }
    }
  }

  // The block's output: of the whole, or where parts wait for each other.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void join_slots(Thread& thread, const CachedAttentionCall& call) const {
    auto shared = thread.template shared<float>();
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      const int state = slot_ * kHeads + h;
      LOWBIT_UNROLL
      for (int q = 0; q < 2; ++q) {
        const float* four = sums_[h].x + 4 * q;
        shared.store16(state * kWidth + channel_ + 4 * q, {{bits_of_float(four[0]), bits_of_float(four[1]),
                                                            bits_of_float(four[2]), bits_of_float(four[3])}});
      }
      if (channel_ != 0) continue;
      shared.store(kStatesAt + state, largest_[h]);
      shared.store(kStatesAt + kSlots * kHeads + state, weights_[h]);
    }
    thread.sync();
    Shares::find(thread, kSlots, [&](int slot, int h) -> typename Shares::State {
      const int state = slot * kHeads + h;
      return {shared.load(kStatesAt + state), shared.load(kStatesAt + kSlots * kHeads + state)};
    });
    each_output(thread, call, [&](int h, int c) {
      float sum = 0.0F;
      LOWBIT_UNROLL
      for (int slot = 0; slot < kSlots; ++slot) {
        sum = fused(shared.load((slot * kHeads + h) * kWidth + c), Shares::share(thread, slot, h), sum);
      }
      const typename Shares::State total = Shares::total(thread, h);
      if (parts_.count == 1) return write(call, h, c, sum, total);
      float* own = partial(thread, call, thread.block(1), h);
      own[2 + c] = sum;
      if (c == 0) own[0] = total.largest;
      if (c == 0) own[1] = total.weights;
    });
  }

  // The block of a unit that comes last.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void join_parts(Thread& thread, const CachedAttentionCall& call) const {
    constexpr int kAtOnce = 16;  // parts whose sums are on their way together
    if (!is_last_to_arrive(thread, call.arrivals + thread.block(0), parts_.count, kFlagAt)) return;
    Shares::find(thread, parts_.count, [&](int part, int h) -> typename Shares::State {
      if (!has_head(call, h)) return {below_all(), 0.0F};
      const float* from = partial(thread, call, part, h);
      return {thread.read_shared_by_blocks(from), thread.read_shared_by_blocks(from + 1)};
    });
    each_output(thread, call, [&](int h, int c) {
      float sum = 0.0F;
      for (int first = 0; first < parts_.count; first += kAtOnce) {
        float sums[kAtOnce] = {};
        LOWBIT_UNROLL
        for (int i = 0; i < kAtOnce; ++i) {
          if (first + i >= parts_.count) continue;
          sums[i] = thread.read_shared_by_blocks(partial(thread, call, first + i, h) + 2 + c);
        }
        LOWBIT_UNROLL
        for (int i = 0; i < kAtOnce; ++i) sum = fused(sums[i], Shares::share(thread, first + i, h), sum);
      }
      write(call, h, c, sum, Shares::total(thread, h));
    });
    if (thread.index() == 0) call.arrivals[thread.block(0)] = 0;
  }

  template <typename Thread, typename Action>
  LOWBIT_HOST_DEVICE void each_output(Thread& thread, const CachedAttentionCall& call, const Action& action) const {
    for (int e = thread.index(); e < kHeads * kWidth; e += kThreads) {
      if (has_head(call, e / kWidth) && e % kWidth < call.channels) action(e / kWidth, e % kWidth);
    }
  }

  LOWBIT_HOST_DEVICE void write(const CachedAttentionCall& call, int h, int c, float sum,
                                const typename Shares::State& total) const {
    call.output[query_at(call, h) + c] = as_bfloat16(quotient(sum, total.weights));
  }

  // Of a part that waits for the others: [unit][part][head]: largest score, weights, values' sums.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static float* partial(Thread& thread, const CachedAttentionCall& call, int part, int h) {
    const std::int64_t row = (std::int64_t{thread.block(0)} * thread.blocks(1) + part) * kHeads + h;
    return call.partials + row * (2 + call.channels);
  }

  AttentionParts parts_;
  int slot_;
  int channel_;
  std::int64_t row_;  // sequence and KV head
  int head_;          // the first of its query heads
  int begin_;         // of the part's tokens
  int end_;
  float largest_[kHeads];
  float weights_[kHeads];
  Eight sums_[kHeads];
};

}  // namespace lowbit::kernels::cuda
