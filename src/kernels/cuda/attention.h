#pragma once

#include "kernels/cuda/exponential.h"
#include "kernels/cuda/kv_store.h"
#include "kernels/cuda/layout.h"

// Attention of the newest token of each sequence to all that its caches hold, read from their codes.
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
  float* partials;          ///< as `partial_floats`, for more than one split
  std::uint32_t* arrivals;  ///< [units], zero before and after
};

/// A block reads a part of the tokens for up to four query heads of one KV head. Its warps take tokens in turn; a warp
/// keeps for each head the largest score m, the sum of exp(score - m), and the values' sums with these weights. Warps
/// and then parts are joined in order, so that the bits depend on the numbers of tokens and parts alone.
class DecodeAttention {
 public:
  static constexpr int kWarps = 4;
  static constexpr int kThreads = kWarps * kLanes;
  static constexpr int kResidentBlocks = 2;
  static constexpr int kHeads = 4;
  static constexpr int kMostChannels = 256;
  static constexpr int kLaneChannels = kMostChannels / kLanes;
  /// A head's m, sum of weights and values.
  static constexpr int kStateFloats = 2 + kMostChannels;
  static constexpr int kSharedWords = kWarps * kHeads * kStateFloats + 1;

  LOWBIT_HOST_DEVICE static constexpr int head_groups(int repeats) { return (repeats + kHeads - 1) / kHeads; }
  LOWBIT_HOST_DEVICE static constexpr std::int64_t units(int sequences, int kv_heads, int repeats) {
    return std::int64_t{sequences} * kv_heads * head_groups(repeats);
  }
  LOWBIT_HOST_DEVICE static constexpr std::int64_t partial_floats(std::int64_t units, int splits) {
    return splits == 1 ? 0 : units * splits * kHeads * kStateFloats;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const AttentionCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    DecodeAttention part(thread, call);
    part.read_tokens(thread, call);
    part.join_warps(thread, call);
    if (call.splits > 1) part.join_splits(thread, call);
  }

 private:
  template <typename Thread>
  LOWBIT_HOST_DEVICE DecodeAttention(Thread& thread, const AttentionCall& call)
      : lane_(thread.index() % kLanes),
        warp_(thread.index() / kLanes),
        row_(thread.block(0) / head_groups(call.repeats)),
        head_(thread.block(0) % head_groups(call.repeats) * kHeads) {
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      largest_[h] = below_all();
      weights_[h] = 0.0F;
      LOWBIT_UNROLL
      for (int i = 0; i < kLaneChannels; ++i) sums_[h][i] = 0.0F;
    }
  }

  LOWBIT_HOST_DEVICE bool has_head(const AttentionCall& call, int h) const { return head_ + h < call.repeats; }
  // Of the query head's row of queries and output.
  LOWBIT_HOST_DEVICE std::int64_t query_row(const AttentionCall& call, int h) const {
    return row_ * call.repeats + head_ + h;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void read_tokens(Thread& thread, const AttentionCall& call) {
    const int channels = call.keys.channels;
    float queries[kHeads][kLaneChannels];
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      LOWBIT_UNROLL
      for (int i = 0; i < kLaneChannels; ++i) {
        const int c = lane_ + i * kLanes;
        queries[h][i] = has_head(call, h) && c < channels
                            ? load_number(call.kind, call.queries, query_row(call, h) * channels + c)
                            : 0.0F;
      }
    }
    const int count = call.length - call.first;
    const int each = (count + call.splits - 1) / call.splits;
    const int begin = call.first + thread.block(1) * each;
    const int end = begin + each < call.length ? begin + each : call.length;
    for (int token = begin + warp_; token < end; token += kWarps) {
      float scores[kHeads] = {};
      LOWBIT_UNROLL
      for (int i = 0; i < kLaneChannels; ++i) {
        const int c = lane_ + i * kLanes;
        const float key = c < channels ? call.keys.value(row_, token, c) : 0.0F;
        LOWBIT_UNROLL
        for (int h = 0; h < kHeads; ++h) scores[h] = fused(queries[h][i], key, scores[h]);
      }
      add_token(thread, call, token, scores);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_token(Thread& thread, const AttentionCall& call, int token, float (&scores)[kHeads]) {
    float values[kLaneChannels];
    LOWBIT_UNROLL
    for (int i = 0; i < kLaneChannels; ++i) {
      const int c = lane_ + i * kLanes;
      values[i] = c < call.values.channels ? call.values.value(row_, token, c) : 0.0F;
    }
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      // Every lane comes to the same sum: partners add the same two numbers.
      LOWBIT_UNROLL
      for (int mask = kLanes / 2; mask > 0; mask /= 2) scores[h] += thread.shuffle_xor(scores[h], mask);
      const float score = scores[h] * call.scale;
      const float largest = score > largest_[h] ? score : largest_[h];
      const float kept = exponential(largest_[h] - largest);
      const float weight = exponential(score - largest);
      largest_[h] = largest;
      weights_[h] = fused(weights_[h], kept, weight);
      LOWBIT_UNROLL
      for (int i = 0; i < kLaneChannels; ++i) sums_[h][i] = fused(weight, values[i], sums_[h][i] * kept);
    }
  }

  // Joins the states of `count` parts, `state(part, place)` of which gives m, the weights' sum and the sums of
  // channels.
  struct Joined {
    float largest;
    float weights;
  };
  template <typename State>
  LOWBIT_HOST_DEVICE static Joined join_weights(int count, const State& state) {
    Joined joined = {below_all(), 0.0F};
    for (int p = 0; p < count; ++p) joined.largest = state(p, 0) > joined.largest ? state(p, 0) : joined.largest;
    for (int p = 0; p < count; ++p) joined.weights = fused(state(p, 1), share(state(p, 0), joined), joined.weights);
    return joined;
  }
  template <typename State>
  LOWBIT_HOST_DEVICE static float join_channel(int count, const State& state, const Joined& joined, int channel) {
    float sum = 0.0F;
    for (int p = 0; p < count; ++p) sum = fused(state(p, 2 + channel), share(state(p, 0), joined), sum);
    return sum;
  }
  // A part without tokens has none.
  LOWBIT_HOST_DEVICE static float share(float largest, const Joined& joined) {
    return largest == below_all() ? 0.0F : exponential(largest - joined.largest);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void join_warps(Thread& thread, const AttentionCall& call) {
    auto shared = thread.template shared<float>();
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      const int at = (warp_ * kHeads + h) * kStateFloats;
      if (lane_ == 0) {
        shared.store(at, largest_[h]);
        shared.store(at + 1, weights_[h]);
      }
      LOWBIT_UNROLL
      for (int i = 0; i < kLaneChannels; ++i) shared.store(at + 2 + lane_ + i * kLanes, sums_[h][i]);
    }
    thread.sync();
    const int channels = call.values.channels;
    for (int e = thread.index(); e < kHeads * channels; e += kThreads) {
      const int h = e / channels;
      if (!has_head(call, h)) break;
      const auto state = [&](int warp, int place) { return shared.load((warp * kHeads + h) * kStateFloats + place); };
      const Joined joined = join_weights(kWarps, state);
      deliver(thread, call, h, e % channels, joined, join_channel(kWarps, state, joined, e % channels));
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void deliver(Thread& thread, const AttentionCall& call, int h, int channel, const Joined& joined,
                                  float sum) const {
    if (call.splits == 1) return store(call, h, channel, joined, sum);
    float* state = call.partials + partial_at(thread, call, thread.block(1), h);
    if (channel == 0) {
      state[0] = joined.largest;
      state[1] = joined.weights;
    }
    state[2 + channel] = sum;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static std::int64_t partial_at(Thread& thread, const AttentionCall& call, int split, int h) {
    return ((std::int64_t{thread.block(0)} * call.splits + split) * kHeads + h) * kStateFloats;
  }

  LOWBIT_HOST_DEVICE void store(const AttentionCall& call, int h, int channel, const Joined& joined, float sum) const {
    const std::int64_t at = query_row(call, h) * call.values.channels + channel;
    const float y = quotient(sum, joined.weights);
    if (call.kind == NumberKind::kFloat32) {
      static_cast<float*>(call.output)[at] = y;
    } else {
      static_cast<std::uint16_t*>(call.output)[at] = call.kind == NumberKind::kFloat16 ? as_half(y) : as_bfloat16(y);
    }
  }

  // The block that comes last.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void join_splits(Thread& thread, const AttentionCall& call) const {
    auto flag = thread.template shared<std::uint32_t>();
    thread.fence();
    thread.sync();
    if (thread.index() == 0) {
      const std::uint32_t before = thread.atomic_add(call.arrivals + thread.block(0), 1U);
      flag.store(kSharedWords - 1, before + 1 == static_cast<std::uint32_t>(call.splits) ? 1U : 0U);
    }
    thread.sync();
    if (flag.load(kSharedWords - 1) == 0) return;
    thread.fence();
    const int channels = call.values.channels;
    for (int e = thread.index(); e < kHeads * channels; e += kThreads) {
      const int h = e / channels;
      if (!has_head(call, h)) break;
      const auto state = [&](int split, int place) {
        return thread.read_shared_by_blocks(call.partials + partial_at(thread, call, split, h) + place);
      };
      const Joined joined = join_weights(call.splits, state);
      store(call, h, e % channels, joined, join_channel(call.splits, state, joined, e % channels));
    }
    if (thread.index() == 0) call.arrivals[thread.block(0)] = 0;
  }

  int lane_;
  int warp_;
  std::int64_t row_;  // sequence and KV head
  int head_;          // the first of its query heads
  float largest_[kHeads];
  float weights_[kHeads];
  float sums_[kHeads][kLaneChannels];
};

/// So many parts that a multiprocessor has two blocks, and each part 64 tokens.
LOWBIT_HOST_DEVICE constexpr int choose_attention_splits(std::int64_t units, int tokens, int multiprocessors) {
  const std::int64_t wanted = (2 * multiprocessors + units - 1) / (units > 0 ? units : 1);
  const int most = (tokens + 63) / 64;
  return static_cast<int>(wanted < 1 ? 1 : wanted < most ? wanted : most > 1 ? most : 1);
}

}  // namespace lowbit::kernels::cuda
