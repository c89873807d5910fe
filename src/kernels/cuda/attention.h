#pragma once

#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/attention_join.h"
#include "kernels/cuda/kv_pieces.h"
#include "kernels/cuda/layout.h"

// Attention of the newest token of each sequence to all that its caches hold, read from their codes.
namespace lowbit::kernels::cuda {

/// A block reads a part of the tokens for up to kHeads query heads of one KV head. A warp takes 32 tokens at once, by
/// itself: it leaves what its lanes' channels give of each score in shared memory, where then every lane adds up the
/// scores of one token; so no score is passed between lanes, and its exponential is computed once. Scales of codes go
/// into the queries, the scores or the weights, whichever they are fewest times multiplied with. A warp keeps for each
/// head the largest score m, the sum of exp(score - m), and the values' sums with these weights. Warps and then parts
/// are joined in order, so that the bits depend on the numbers of tokens and parts alone.
template <int kBits, int kHeads>
class DecodeAttention {
 public:
  static constexpr int kWarps = 4;
  static constexpr int kThreads = kWarps * kLanes;
  static constexpr int kResidentBlocks = kHeads == 1 ? 4 : 2;

  /// Words of shared memory.
  static constexpr int shared_words(int channels) {
    const int lanes = lanes_of_token(channels);
    const int reading = kQueriesAt + lanes * kQueryStride + kWarps * warp_words(lanes);
    const int joining = kSumsAt + kWarps * kHeads * lanes * kPieceChannels;
    return reading > joining ? reading : joining;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const AttentionCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    DecodeAttention part(thread, call);
    part.keep_queries(thread, call);
    part.read_tokens(thread, call);
    part.join_lanes(thread);
    part.join_warps(thread, call);
    if (call.splits > 1) part.join_splits(thread, call);
  }

 private:
  static constexpr int kTile = kLanes;
  /// Steps of a tile whose keys, and whose values, are on their way at once: 1 KB a warp of each, 2 KB with one head.
  static constexpr int kAhead = (kBits == 8 ? 2 : 4) * (kHeads == 1 ? 2 : 1);
  // Shared memory: a flag; while tokens are read, queries and what belongs to warps; then what is joined.
  static constexpr int kQueriesAt = 4;
  static constexpr int kQueryStride = kHeads * kPieceChannels + 4;  // of a lane's channels, over other banks
  static constexpr int kJoinAt = 4;
  using Join = AttentionJoin<kHeads, kThreads, kMostAttentionSplits, kJoinAt>;
  static constexpr int kSumsAt = kJoinAt + Join::kWords;
  LOWBIT_HOST_DEVICE static constexpr int score_stride(int lanes) { return lanes * kHeads + (kHeads == 1 ? 1 : 4); }
  LOWBIT_HOST_DEVICE static constexpr int warp_words(int lanes) { return kTile * (score_stride(lanes) + kHeads); }

  using Pieces = KvPieces<kBits>;
  using Sums = float[kHeads][kPieceChannels];
  struct Side {
    Pieces pieces;
    typename Pieces::Words ring[kAhead];
  };

  template <typename Thread>
  LOWBIT_HOST_DEVICE DecodeAttention(Thread& thread, const AttentionCall& call)
      : lane_(thread.index() % kLanes), warp_(thread.index() / kLanes) {
    const int groups = (call.repeats + kHeads - 1) / kHeads;
    row_ = thread.block(0) / groups;
    head_ = thread.block(0) % groups * kHeads;
    lanes_ = lanes_of_token(call.keys.channels);
    slots_ = kLanes / lanes_;
    slot_ = lane_ / lanes_;
    piece_ = lane_ % lanes_;
    scores_at_ = kQueriesAt + lanes_ * kQueryStride + warp_ * warp_words(lanes_);
    weights_at_ = scores_at_ + kTile * score_stride(lanes_);
    const int base = call.first / kTile * kTile;
    const int each = (((call.length - base) + call.splits - 1) / call.splits + kTile - 1) / kTile * kTile;
    begin_ = base + thread.block(1) * each;
    first_ = call.first;
    end_ = begin_ + each < call.length ? begin_ + each : call.length;
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      largest_[h] = below_all();
      weights_[h] = 0.0F;
      shifts_[h] = 0.0F;
      LOWBIT_UNROLL
      for (int i = 0; i < kPieceChannels; ++i) sums_[h][i] = 0.0F;
    }
  }

  LOWBIT_HOST_DEVICE bool has_head(const AttentionCall& call, int h) const { return head_ + h < call.repeats; }
  // Of the query head's row of queries and output.
  LOWBIT_HOST_DEVICE std::int64_t query_row(const AttentionCall& call, int h) const {
    return row_ * call.repeats + head_ + h;
  }
  LOWBIT_HOST_DEVICE bool sees(int token) const { return token >= first_ && token < end_; }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void keep_queries(Thread& thread, const AttentionCall& call) const {
    auto shared = thread.template shared<float>();
    const int channels = call.keys.channels;
    for (int e = thread.index(); e < lanes_ * kHeads * kPieceChannels; e += kThreads) {
      const int piece = e / (kHeads * kPieceChannels);
      const int in_piece = e % (kHeads * kPieceChannels);
      const int h = in_piece / kPieceChannels;
      const int c = piece * kPieceChannels + in_piece % kPieceChannels;
      const bool present = has_head(call, h) && c < channels;
      shared.store(kQueriesAt + piece * kQueryStride + in_piece,
                   present ? load_number(call.kind, call.queries, query_row(call, h) * channels + c) : 0.0F);
    }
    thread.sync();
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void read_tokens(Thread& thread, const AttentionCall& call) {
    Side keys = {{call.keys, row_, piece_}, {}};
    Side values = {{call.values, row_, piece_}, {}};
    const int begin = begin_ + warp_ * kTile;
    LOWBIT_UNROLL
    for (int d = 0; d < kAhead; ++d) {
      if (d >= lanes_) break;
      load(thread, keys, begin, d, keys.ring[d]);
      load(thread, values, begin, d, values.ring[d]);
    }
    for (int tile = begin; tile < end_; tile += kWarps * kTile) {
      leave_scores(thread, keys, tile);
      thread.sync_warp();
      weigh_tokens(thread, tile, call.scale);
      thread.sync_warp();
      add_values(thread, values, tile);
    }
  }

  // A step's codes; those of a tile's steps behind its last one are the next tile's.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void load(Thread& thread, const Side& side, int tile, int step,
                               typename Pieces::Words& target) const {
    if (step >= lanes_) {
      step -= lanes_;
      tile += kWarps * kTile;
    }
    const int token = tile + step * slots_ + slot_;
    if (sees(token) && side.pieces.form(tile_end(tile)) != PieceForm::kAny) target = side.pieces.load(thread, token);
  }
  LOWBIT_HOST_DEVICE int tile_end(int tile) const { return tile + kTile < end_ ? tile + kTile : end_; }

  // `use(token of the tile, its numbers or codes)` for each step, whose codes then make room for later ones.
  template <typename Thread, typename Use>
  LOWBIT_HOST_DEVICE void read_tile(Thread& thread, Side& side, int tile, PieceForm form, const Use& use) const {
    if (form == PieceForm::kAny) return read_any_tile(thread, side, tile, use);
    for (int base = 0; base < lanes_; base += kAhead) {
      LOWBIT_UNROLL
      for (int d = 0; d < kAhead; ++d) {
        const int step = base + d;
        if (step >= lanes_) break;
        Piece piece = side.pieces.codes(side.ring[d]);
        load(thread, side, tile, step + (lanes_ < kAhead ? lanes_ : kAhead), side.ring[d]);
        use(step * slots_ + slot_, piece);
      }
    }
  }

  // Number by number, which is a lot of code: once. What comes behind the tile is loaded as it is otherwise.
  template <typename Thread, typename Use>
  LOWBIT_HOST_DEVICE void read_any_tile(Thread& thread, Side& side, int tile, const Use& use) const {
    LOWBIT_NO_UNROLL
    for (int step = 0; step < lanes_; ++step) {
      const int token = step * slots_ + slot_;
      Piece piece = {};
      if (sees(tile + token)) piece = side.pieces.numbers(tile + token);
      use(token, piece);
    }
    LOWBIT_UNROLL
    for (int d = 0; d < kAhead; ++d) {
      if (d < lanes_) load(thread, side, tile + kWarps * kTile, d, side.ring[d]);
    }
  }

  LOWBIT_HOST_DEVICE Affine affine(const Side& side, PieceForm form, int token) const {
    if (form != PieceForm::kOfChannels) return {1.0F, form == PieceForm::kOfTokens ? 1.0F : 0.0F};
    return sees(token) ? side.pieces.affine(token) : Affine{0.0F, 0.0F};
  }

  // Of q (code scale + minimum): the queries that codes are multiplied with, and what comes to their sum besides: for
  // scales of channels the whole, else what a token's minimum is multiplied with.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void fold_queries(Thread& thread, const Side& keys, int tile, PieceForm form, Sums& queries,
                                       float (&offsets)[kHeads]) const {
    const auto shared = thread.template shared<float>();
    const bool folded = form == PieceForm::kOfTokens;
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) offsets[h] = 0.0F;
    LOWBIT_UNROLL
    for (int half = 0; half < 2; ++half) {
      EightAffine of_channels = {};
      if (folded) of_channels = keys.pieces.affine_of_channels(thread, tile, half);
      LOWBIT_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        LOWBIT_UNROLL
        for (int i = 0; i < 8; ++i) {
          const int place = half * 8 + i;
          if (i % 4 == 0) {
            const Word4 four = shared.load16(kQueriesAt + piece_ * kQueryStride + h * kPieceChannels + place);
            LOWBIT_UNROLL
            for (int k = 0; k < 4; ++k) queries[h][place + k] = float_from_bits(four.x[k]);
          }
          const float query = queries[h][place];
          offsets[h] = folded ? fused(query, of_channels.minimum.x[i], offsets[h]) : offsets[h] + query;
          if (folded) queries[h][place] = query * of_channels.scale.x[i];
        }
      }
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void leave_scores(Thread& thread, Side& keys, int tile) const {
    const PieceForm form = keys.pieces.form(tile_end(tile));
    Sums queries;
    float offsets[kHeads];
    fold_queries(thread, keys, tile, form, queries, offsets);
    const int stride = score_stride(lanes_);
    auto shared = thread.template shared<float>();
    read_tile(thread, keys, tile, form, [&](int token, const Piece& key) {
      const Affine of_token = affine(keys, form, tile + token);
      const int at = scores_at_ + token * stride + piece_ * kHeads;
      float scores[kHeads];
      LOWBIT_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        float sum = 0.0F;
        LOWBIT_UNROLL
        for (int i = 0; i < kPieceChannels; ++i) sum = fused(queries[h][i], key.x[i], sum);
        scores[h] = fused(sum, of_token.scale, offsets[h] * of_token.minimum);
      }
      store_heads(shared, at, scores);
    });
  }

  // A lane takes one token of the tile.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void weigh_tokens(Thread& thread, int tile, float scale) {
    auto shared = thread.template shared<float>();
    const int stride = score_stride(lanes_);
    float scores[kHeads] = {};
    for (int part = 0; part < lanes_; ++part) {
      float parts[kHeads];
      load_heads(shared, scores_at_ + lane_ * stride + part * kHeads, parts);
      LOWBIT_UNROLL
      for (int h = 0; h < kHeads; ++h) scores[h] += parts[h];
    }
    bool grows = false;
    float kept[kHeads];
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      scores[h] = sees(tile + lane_) ? scores[h] * scale : below_all();
      float largest = scores[h];
      LOWBIT_UNROLL
      for (int mask = kLanes / 2; mask > 0; mask /= 2) {
        const float other = thread.shuffle_xor(largest, mask);
        largest = other > largest ? other : largest;
      }
      if (!(largest > largest_[h])) largest = largest_[h];
      kept[h] = exponential(largest_[h] - largest);
      grows = grows || largest != largest_[h];
      largest_[h] = largest;
      scores[h] = exponential(scores[h] - largest);
      weights_[h] = fused(weights_[h], kept[h], scores[h]);
    }
    store_heads(shared, weights_at_ + lane_ * kHeads, scores);
    if (grows) shrink_sums(kept);
  }

  LOWBIT_HOST_DEVICE void shrink_sums(const float (&kept)[kHeads]) {
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      shifts_[h] *= kept[h];
      LOWBIT_UNROLL
      for (int i = 0; i < kPieceChannels; ++i) sums_[h][i] *= kept[h];
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_values(Thread& thread, Side& values, int tile) {
    const auto shared = thread.template shared<float>();
    const PieceForm form = values.pieces.form(tile_end(tile));
    EightAffine of_channels[2] = {};
    LOWBIT_UNROLL
    for (int half = 0; half < 2; ++half) {
      if (form == PieceForm::kOfTokens) of_channels[half] = values.pieces.affine_of_channels(thread, tile, half);
    }
    read_tile(thread, values, tile, form, [&](int token, Piece& value) {
      float weights[kHeads];
      load_heads(shared, weights_at_ + token * kHeads, weights);
      const Affine of_token = affine(values, form, tile + token);
      if (form == PieceForm::kOfTokens) {
        LOWBIT_UNROLL
        for (int i = 0; i < kPieceChannels; ++i) {
          const EightAffine& affine_of_eight = of_channels[i / 8];
          value.x[i] = fused(value.x[i], affine_of_eight.scale.x[i % 8], affine_of_eight.minimum.x[i % 8]);
        }
      }
      LOWBIT_UNROLL
      for (int h = 0; h < kHeads; ++h) {
        if (form == PieceForm::kOfChannels) shifts_[h] = fused(weights[h], of_token.minimum, shifts_[h]);
        const float weight = weights[h] * of_token.scale;
        LOWBIT_UNROLL
        for (int i = 0; i < kPieceChannels; ++i) sums_[h][i] = fused(weight, value.x[i], sums_[h][i]);
      }
    });
  }

  // Lanes' weights, and the sums of those that read the same channels: in a tree, into shared memory.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void join_lanes(Thread& thread) {
    thread.sync();
    auto shared = thread.template shared<float>();
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) {
      LOWBIT_UNROLL
      for (int mask = kLanes / 2; mask > 0; mask /= 2) weights_[h] += thread.shuffle_xor(weights_[h], mask);
      if (lane_ == 0) Join::store(thread, warp_, h, largest_[h], weights_[h]);
      LOWBIT_UNROLL
      for (int i = 0; i < kPieceChannels; ++i) {
        float sum = sums_[h][i] + shifts_[h];
        for (int mask = lanes_; mask < kLanes; mask *= 2) sum += thread.shuffle_xor(sum, mask);
        if (slot_ == 0) shared.store(sum_at(warp_, h, piece_ * kPieceChannels + i), sum);
      }
    }
  }
  LOWBIT_HOST_DEVICE int sum_at(int warp, int h, int channel) const {
    return kSumsAt + (warp * kHeads + h) * lanes_ * kPieceChannels + channel;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void join_warps(Thread& thread, const AttentionCall& call) const {
    const auto shared = thread.template shared<float>();
    Join::share(thread, kWarps);
    const int channels = call.values.channels;
    for (int e = thread.index(); e < kHeads * channels; e += kThreads) {
      const int h = e / channels;
      if (!has_head(call, h)) break;
      const auto joined =
          Join::join(thread, kWarps, h, [&](int warp) { return shared.load(sum_at(warp, h, e % channels)); });
      if (call.splits == 1) {
        store(call, h, e % channels, joined);
      } else {
        Join::leave(partial(thread, call, thread.block(1), h), e % channels, joined);
      }
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static float* partial(Thread& thread, const AttentionCall& call, int split, int h) {
    const std::int64_t state = (std::int64_t{thread.block(0)} * call.splits + split) * kHeads + h;
    return call.partials + state * (2 + call.values.channels);
  }

  LOWBIT_HOST_DEVICE void store(const AttentionCall& call, int h, int channel,
                                const typename Join::Joined& joined) const {
    const std::int64_t at = query_row(call, h) * call.values.channels + channel;
    store_number(call.kind, call.output, at, quotient(joined.sum, joined.weights));
  }

  // The block that comes last.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void join_splits(Thread& thread, const AttentionCall& call) const {
    if (!is_last_to_arrive(thread, call.arrivals + thread.block(0), call.splits, 0)) return;
    Join::fetch(thread, call.splits, [&](int split, int h) -> const float* {
      return has_head(call, h) ? partial(thread, call, split, h) : nullptr;
    });
    const int channels = call.values.channels;
    for (int e = thread.index(); e < kHeads * channels; e += kThreads) {
      const int h = e / channels;
      if (!has_head(call, h)) break;
      store(call, h, e % channels, Join::join(thread, call.splits, h, [&](int split) {
              return thread.read_shared_by_blocks(partial(thread, call, split, h) + 2 + e % channels);
            }));
    }
    if (thread.index() == 0) call.arrivals[thread.block(0)] = 0;
  }

  int lane_;
  int warp_;
  std::int64_t row_;  // sequence and KV head
  int head_;          // the first of its query heads
  int lanes_;         // that read a token
  int slots_;         // tokens of a step
  int slot_;
  int piece_;
  int scores_at_;   // in shared memory: [token of the tile][lane that reads it][head]
  int weights_at_;  // likewise: [token of the tile][head]
  int begin_;
  int first_;  // of the tokens that are seen
  int end_;
  float largest_[kHeads];
  float weights_[kHeads];  // of the tokens that this lane took
  float shifts_[kHeads];   // weights times minima, which every channel's sum lacks
  Sums sums_;
};

}  // namespace lowbit::kernels::cuda
