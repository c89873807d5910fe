#pragma once

#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/attention_join.h"
#include "kernels/cuda/eight.h"
#include "kernels/cuda/layout.h"

// Attention of the newest token of each sequence to caches of bfloat16 numbers, at a position that is read from the
// GPU's memory.
namespace lowbit::kernels::cuda {

struct CachedAttentionCall {
  const std::uint16_t* queries;  ///< [sequences][kv_heads * repeats][channels], bfloat16
  const std::uint16_t* keys;     ///< [sequences][kv_heads][capacity][channels]
  const std::uint16_t* values;   ///< likewise
  std::uint16_t* output;         ///< as queries
  const std::int32_t* position;  ///< of the newest token, whose key and value the caches hold
  std::int32_t sequences;
  std::int32_t kv_heads;
  std::int32_t repeats;   ///< query heads of a KV head
  std::int32_t channels;  ///< a multiple of 8, at most 256
  std::int32_t capacity;
  std::int32_t window;  ///< tokens that are seen at most; 0: all
  float scale;
  float* partials;          ///< as `CachedAttention::partial_floats`
  std::uint32_t* arrivals;  ///< [units], zero before and after
};

/// The tokens that are seen, dealt to parts of equal size. It follows from their number alone, so that a token's bits
/// depend on neither the batch, nor the capacity, nor the GPU.
struct AttentionParts {
  static constexpr int kTokens = 64;  ///< of a part, or a multiple
  static constexpr int kMost = 64;

  int first;
  int length;  ///< one behind the last token
  int each;
  int count;

  LOWBIT_HOST_DEVICE AttentionParts(int tokens, int window)
      : first(window > 0 && tokens > window ? tokens - window : 0), length(tokens) {
    const int seen = length - first;
    each = kTokens * ((seen + kTokens * kMost - 1) / (kTokens * kMost));
    count = (seen + each - 1) / each;
  }
  /// That there may be in a cache.
  LOWBIT_HOST_DEVICE static constexpr int most(int capacity, int window) {
    const int tokens = window > 0 && window < capacity ? window : capacity;
    const int parts = (tokens + kTokens - 1) / kTokens;
    return parts < kMost ? parts : kMost;
  }
};

/// A block reads a part of the tokens for up to kHeads query heads of one KV head. As many lanes as read a token's
/// channels, eight each, are a slot; a warp has several, and a block's slots take tokens in turn. A slot keeps for each
/// head the largest score m, the sum of exp(score - m), and the values' sums with these weights. Slots and then parts
/// are joined in order.
template <int kHeads>
class CachedAttention {
 public:
  static constexpr int kWarps = 4;
  static constexpr int kThreads = kWarps * kLanes;
  static constexpr int kResidentBlocks = 2;
  static constexpr int kMostSlots = kThreads;
  static constexpr int kJoinAt = kHeads * kThreads * 8;
  using Join = AttentionJoin<kHeads, kThreads, kMostSlots, kJoinAt>;
  static constexpr int kSharedWords = kJoinAt + Join::kWords + 1;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const CachedAttentionCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    const AttentionParts parts(static_cast<int>(thread.read4(call.position)) + 1, call.window);
    if (thread.block(1) >= parts.count) return;
    CachedAttention own(thread, call, parts);
    own.read_tokens(thread, call);
    own.join_slots(thread, call);
    if (parts.count > 1) own.join_parts(thread, call);
  }

 private:
  // Tokens of a slot whose keys and values are on their way at once.
  static constexpr int kAhead = 4;

  template <typename Thread>
  LOWBIT_HOST_DEVICE CachedAttention(Thread& thread, const CachedAttentionCall& call, const AttentionParts& parts)
      : parts_(parts), row_(0) {
    const int groups = (call.repeats + kHeads - 1) / kHeads;
    row_ = thread.block(0) / groups;
    head_ = thread.block(0) % groups * kHeads;
    while (lanes_ * 8 < call.channels) lanes_ *= 2;
    slots_ = kThreads / lanes_;
    slot_ = thread.index() / lanes_;
    channel_ = thread.index() % lanes_ * 8;
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

  template <typename Thread>
  LOWBIT_HOST_DEVICE void read_tokens(Thread& thread, const CachedAttentionCall& call) {
    const bool has_channels = channel_ < call.channels;
    Eight queries[kHeads] = {};
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      if (has_channels && has_head(call, h)) {
        queries[h] = as_floats(thread.read16(call.queries + query_at(call, h) + channel_));
      }
    }
    const int begin = parts_.first + thread.block(1) * parts_.each;
    const int end = begin + parts_.each < parts_.length ? begin + parts_.each : parts_.length;
    for (int base = begin; base < end; base += slots_ * kAhead) {
      Word4 keys[kAhead] = {};
      Word4 values[kAhead] = {};
      LOWBIT_UNROLL
      for (int u = 0; u < kAhead; ++u) {
        const int token = base + u * slots_ + slot_;
        if (token >= end || !has_channels) continue;
        const std::int64_t at = (row_ * call.capacity + token) * call.channels + channel_;
        keys[u] = thread.read16(call.keys + at);
        values[u] = thread.read16(call.values + at);
      }
      const int present = (end - base - slot_ + slots_ - 1) / slots_;
      LOWBIT_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        float scores[kAhead];
        score_tokens(thread, queries[h], keys, call.scale, scores);
        add_tokens(scores, values, present, h);
      }
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void score_tokens(Thread& thread, const Eight& query, const Word4 (&keys)[kAhead], float scale,
                                       float (&scores)[kAhead]) const {
    LOWBIT_UNROLL
    for (int u = 0; u < kAhead; ++u) {
      const Eight key = as_floats(keys[u]);
      float sum = 0.0F;
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) sum = fused(query.x[i], key.x[i], sum);
      // Every lane of a slot comes to the same sum: partners add the same two numbers.
      for (int mask = lanes_ / 2; mask > 0; mask /= 2) sum += thread.shuffle_xor(sum, mask);
      scores[u] = sum * scale;
    }
  }

  LOWBIT_HOST_DEVICE void add_tokens(const float (&scores)[kAhead], const Word4 (&values)[kAhead], int present, int h) {
    if (present <= 0) return;
    float largest = largest_[h];
    LOWBIT_UNROLL
    for (int u = 0; u < kAhead; ++u) {
      if (u < present && scores[u] > largest) largest = scores[u];
    }
    const float kept = exponential(largest_[h] - largest);
    largest_[h] = largest;
    weights_[h] *= kept;
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) sums_[h].x[i] *= kept;
    LOWBIT_UNROLL
    for (int u = 0; u < kAhead; ++u) {
      if (u >= present) continue;
      const float weight = exponential(scores[u] - largest);
      const Eight value = as_floats(values[u]);
      weights_[h] += weight;
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) sums_[h].x[i] = fused(weight, value.x[i], sums_[h].x[i]);
    }
  }

  // The block's output: of the whole, or where parts wait for each other: [unit][part][head]: m, sum of weights, sums.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void join_slots(Thread& thread, const CachedAttentionCall& call) const {
    auto shared = thread.template shared<float>();
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      if (channel_ == 0) Join::store(thread, slot_, h, largest_[h], weights_[h]);
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) {
        shared.store((slot_ * kHeads + h) * lanes_ * 8 + channel_ + i, sums_[h].x[i]);
      }
    }
    Join::share(thread, slots_);
    for (int e = thread.index(); e < kHeads * call.channels; e += kThreads) {
      const int h = e / call.channels;
      if (!has_head(call, h)) break;
      const int c = e % call.channels;
      const auto joined =
          Join::join(thread, slots_, h, [&](int slot) { return shared.load((slot * kHeads + h) * lanes_ * 8 + c); });
      if (parts_.count == 1) {
        call.output[query_at(call, h) + c] = as_bfloat16(quotient(joined.sum, joined.weights));
      } else {
        Join::leave(partial(thread, call, thread.block(1), h), c, joined);
      }
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static float* partial(Thread& thread, const CachedAttentionCall& call, int part, int h) {
    const std::int64_t row = (std::int64_t{thread.block(0)} * thread.blocks(1) + part) * kHeads + h;
    return call.partials + row * (2 + call.channels);
  }

  // The block of a unit that comes last.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void join_parts(Thread& thread, const CachedAttentionCall& call) const {
    if (!is_last_to_arrive(thread, call.arrivals + thread.block(0), parts_.count, kSharedWords - 1)) return;
    Join::fetch(thread, parts_.count, [&](int part, int h) -> const float* {
      return has_head(call, h) ? partial(thread, call, part, h) : nullptr;
    });
    for (int e = thread.index(); e < kHeads * call.channels; e += kThreads) {
      const int h = e / call.channels;
      if (!has_head(call, h)) break;
      const auto joined = Join::join(thread, parts_.count, h, [&](int part) {
        return thread.read_shared_by_blocks(partial(thread, call, part, h) + 2 + e % call.channels);
      });
      call.output[query_at(call, h) + e % call.channels] = as_bfloat16(quotient(joined.sum, joined.weights));
    }
    if (thread.index() == 0) call.arrivals[thread.block(0)] = 0;
  }

  AttentionParts parts_;
  std::int64_t row_;  // sequence and KV head
  int head_;          // the first of its query heads
  int lanes_ = 1;     // of a slot
  int slots_;
  int slot_;
  int channel_;
  float largest_[kHeads];
  float weights_[kHeads];
  Eight sums_[kHeads];
};

}  // namespace lowbit::kernels::cuda
