#pragma once

#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/attention_keys.h"
#include "kernels/cuda/attention_values.h"

// Attention of the newest token of each sequence to all that its caches hold, read from their codes.
namespace lowbit::kernels::cuda {

/// A block reads a part of the tokens for up to four query heads of one KV head. A warp takes tiles of 32 tokens, by
/// itself, and copies the next keys while it adds values, the next values while it scores keys. Codes are operands of
/// the tensor cores as they stand; queries and weights, which scales are multiplied into, are two terms of float16
/// each, so that four heads fill the eight columns of an instruction. Lane 4 g + t has the scores of head t and tokens
/// g, g + 8, g + 16, g + 24 of a tile. A warp keeps for each head the largest score m, the sum of exp(score - m), and
/// the values' sums with these weights. Warps and then parts are joined in order, so that the bits depend on the
/// numbers of tokens and parts alone.
template <int kKeyBits>
class DecodeAttention {
 public:
  static constexpr int kWarps = 4;
  static constexpr int kThreads = kWarps * kLanes;
  static constexpr int kResidentBlocks = 4;  // whose shared memory fits, of 4 bits and 128 channels

  /// Words of shared memory.
  LOWBIT_HOST_DEVICE static int shared_words(const AttentionCall& call) {
    const Sizes sizes(call);
    const int reading = sizes.warps_at + kWarps * sizes.warp;
    const int joining = kSplitsAt + SplitJoin::kWords;
    return reading > joining ? reading : joining;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const AttentionCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    DecodeAttention part(thread, call);
    part.prepare(thread, call);
    part.read_tokens(thread, call);
    part.join_warps(thread, call);
    if (call.splits > 1) part.join_splits(thread, call);
  }

 private:
  static constexpr int kHeads = kAttentionHeads;
  static constexpr int kTile = kCacheTileTokens;
  static constexpr int kNext = kWarps * kTile;  // from a warp's tile to its next
  // Shared memory: a flag and the warps' states; then queries and what belongs to warps, or states of splits.
  static constexpr int kJoinAt = 4;
  using Join = AttentionJoin<kHeads, kThreads, kWarps, kJoinAt>;
  static constexpr int kQueriesAt = kJoinAt + Join::kWords;
  static constexpr int kSplitsAt = kQueriesAt;
  using SplitJoin = AttentionJoin<kHeads, kThreads, kMostAttentionSplits, kSplitsAt>;

  // In words.
  struct Sizes {
    int steps;
    int affine;
    int keys;  // of a tile, in front of its values
    int tile;
    int warp;
    int warps_at;
    LOWBIT_HOST_DEVICE explicit Sizes(const AttentionCall& call) : steps(steps_of_head(call.keys.channels)) {
      const int of_keys = KvTiles::affine_words(call.keys);
      const int of_values = KvTiles::affine_words(call.values);
      affine = of_keys > of_values ? of_keys : of_values;
      keys = KvTiles::words(call.keys);
      tile = keys + KvTiles::words(call.values);
      warp = AttentionWarp::words(steps, affine) + tile;
      warps_at = kQueriesAt + steps * AttentionWarp::kQueryWords;
    }
  };

  template <typename Thread>
  LOWBIT_HOST_DEVICE DecodeAttention(Thread& thread, const AttentionCall& call)
      : sizes_(call),
        number_(thread.index() / kLanes),
        warp_(thread.index() % kLanes, sizes_.steps, kQueriesAt, sizes_.warps_at + number_ * sizes_.warp,
              sizes_.affine),
        heads_(attention_heads(call.repeats)),
        row_(thread.block(0) / ((call.repeats + heads_ - 1) / heads_)),
        head_(thread.block(0) % ((call.repeats + heads_ - 1) / heads_) * heads_),
        keys_(call.keys, row_, warp_),
        values_(call.values, row_, warp_) {
    const int base = call.first / kTile * kTile;
    const int each = (((call.length - base) + call.splits - 1) / call.splits + kTile - 1) / kTile * kTile;
    begin_ = base + thread.block(1) * each;
    first_ = call.first;
    end_ = begin_ + each < call.length ? begin_ + each : call.length;
  }
  DecodeAttention(const DecodeAttention&) = delete;
  DecodeAttention& operator=(const DecodeAttention&) = delete;

  LOWBIT_HOST_DEVICE bool has_head(const AttentionCall& call, int h) const {
    return h < heads_ && head_ + h < call.repeats;
  }
  // Of the query head's row of queries and output.
  LOWBIT_HOST_DEVICE std::int64_t query_row(const AttentionCall& call, int h) const {
    return row_ * call.repeats + head_ + h;
  }
  LOWBIT_HOST_DEVICE int tile_end(int tile) const { return tile + kTile < end_ ? tile + kTile : end_; }

  // Queries of channels and heads that are not there are zero; so is what a warp keeps, and what copies leave out.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void prepare(Thread& thread, const AttentionCall& call) const {
    auto shared = thread.template shared<float>();
    const int channels = call.keys.channels;
    for (int e = thread.index(); e < kHeads * sizes_.steps * kStepChannels; e += kThreads) {
      const int h = e % kHeads;
      const int c = e / kHeads;
      const bool present = has_head(call, h) && c < channels;
      shared.store(warp_.query(h, c),
                   present ? load_number(call.kind, call.queries, query_row(call, h) * channels + c) : 0.0F);
    }
    for (int e = 4 * warp_.lane; e < sizes_.warp; e += 4 * kLanes) shared.store16(warp_.sums + e, Word4{{0, 0, 0, 0}});
    thread.sync();
  }

  // Keys and values have room for one tile each, and are on their way in turn: what follows a tile is copied as soon
  // as it was read. The first turn copies alone, so that the code stands here once.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void read_tokens(Thread& thread, const AttentionCall& call) {
    const int begin = begin_ + number_ * kTile;
    const int keys_at = warp_.tiles;
    const int values_at = keys_at + sizes_.keys;
    LOWBIT_NO_UNROLL
    for (int tile = begin - kNext; tile < end_; tile += kNext) {
      const bool first = tile < begin;
      const int end = tile_end(tile);
      const int later = tile + kNext;
      TileScores scores = {};
      if (!first) {
        thread.template wait_copies<1>();
        thread.sync_warp();
        keys_.score(thread, tile, first_, end, keys_at, scores);
      }
      keys_.tiles().start(thread, later, tile_end(later), keys_at);
      thread.commit_copies();
      if (!first) {
        const float kept = weigh(thread, tile, call.scale, scores);
        thread.template wait_copies<1>();
        thread.sync_warp();
        values_.add(thread, tile, first_, end, values_at, kept, scores);
        thread.sync_warp();
      }
      values_.tiles().start(thread, later, tile_end(later), values_at);
      thread.commit_copies();
    }
    thread.template wait_copies<0>();
  }

  // Makes weights of scores; what remains of the sums before.
  template <typename Thread>
  LOWBIT_HOST_DEVICE float weigh(Thread& thread, int tile, float scale, TileScores& scores) {
    float largest = below_all();
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int token = tile + 8 * i + warp_.own;
      scores[i] = token >= first_ && token < end_ ? scores[i] * scale : below_all();
      largest = larger(scores[i], largest);
    }
    largest = larger(largest_of_rows(thread, largest), largest_);
    const float kept = exponential(largest_ - largest);
    largest_ = largest;
    weights_ *= kept;
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      scores[i] = exponential(scores[i] - largest);
      weights_ += scores[i];
    }
    return kept;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void join_warps(Thread& thread, const AttentionCall& call) const {
    const float weights = sum_of_rows(thread, weights_);
    if (warp_.own == 0) Join::store(thread, number_, warp_.quarter, largest_, weights);
    const auto shared = thread.template shared<float>();
    Join::share(thread, kWarps);
    const int channels = call.values.channels;
    for (int e = thread.index(); e < kHeads * channels; e += kThreads) {
      const int h = e / channels;
      if (!has_head(call, h)) break;
      const auto joined = Join::join(thread, kWarps, h, [&](int warp) {
        return shared.load(sizes_.warps_at + warp * sizes_.warp + e % channels * kHeads + h);
      });
      if (call.splits == 1) {
        store(call, h, e % channels, joined);
      } else {
        Join::leave(partial(thread, call, thread.block(1), h), e % channels, joined);
      }
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE float* partial(Thread& thread, const AttentionCall& call, int split, int h) const {
    const std::int64_t state = (std::int64_t{thread.block(0)} * call.splits + split) * heads_ + h;
    return call.partials + state * (2 + call.values.channels);
  }

  template <typename Joined>
  LOWBIT_HOST_DEVICE void store(const AttentionCall& call, int h, int channel, const Joined& joined) const {
    const std::int64_t at = query_row(call, h) * call.values.channels + channel;
    store_number(call.kind, call.output, at, quotient(joined.sum, joined.weights));
  }

  // The block that comes last.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void join_splits(Thread& thread, const AttentionCall& call) const {
    if (!is_last_to_arrive(thread, call.arrivals + thread.block(0), call.splits, 0)) return;
    SplitJoin::fetch(thread, call.splits, [&](int split, int h) -> const float* {
      return has_head(call, h) ? partial(thread, call, split, h) : nullptr;
    });
    const int channels = call.values.channels;
    for (int e = thread.index(); e < kHeads * channels; e += kThreads) {
      const int h = e / channels;
      if (!has_head(call, h)) break;
      store(call, h, e % channels, SplitJoin::join(thread, call.splits, h, [&](int split) {
              return thread.read_shared_by_blocks(partial(thread, call, split, h) + 2 + e % channels);
            }));
    }
    if (thread.index() == 0) call.arrivals[thread.block(0)] = 0;
  }

  Sizes sizes_;
  int number_;  // of the warp
  AttentionWarp warp_;
  int heads_;         // of a block
  std::int64_t row_;  // sequence and KV head
  int head_;          // the first of its query heads
  AttentionKeys<kKeyBits> keys_;
  AttentionValues values_;
  int begin_;
  int first_;  // of the tokens that are seen
  int end_;
  float largest_ = below_all();  // of head t
  float weights_ = 0.0F;         // of the tokens that this lane took
};

}  // namespace lowbit::kernels::cuda
