#pragma once

#include "kernels/cuda/group_turns.h"
#include "kernels/cuda/slice_ring.h"
#include "kernels/cuda/warp_sums.h"

// Products of 16 to 64 tokens on Hopper. The blocks of a cluster have slices of the columns: each holds the activations
// of its slice in shared memory to its end, so that nothing but weights is on the way, and the cluster's groups of four
// warps take tiles of 64 rows. A tile's slices are added through the cluster's shared memory.
namespace lowbit::kernels::cuda {

/// Of 16 rows each, a group's.
inline constexpr int kGroupTiles = 4;
LOWBIT_HOST_DEVICE constexpr int group_tiles_of(const Matrix& weight) {
  return (tiles_of(weight) + kGroupTiles - 1) / kGroupTiles;
}

/// A slice's activations, chunk after chunk as `operand_offset` says, from word kAt on. They are there before anything
/// else begins, and stay.
template <int kAt, int kStageWords>
struct SliceOperands {
  struct Place {
    int stage = 0;
    LOWBIT_HOST_DEVICE void advance() { ++stage; }
  };
  LOWBIT_HOST_DEVICE static constexpr int stage_at(int stage) { return kAt + stage * kStageWords; }
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void wait(Thread&, const Place&) {}
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void release(Thread&, int) {}
};

/// A warp's weights on their way: its sixteen rows of every tile of its group of warps.
template <typename TheRing>
class SliceFeed {
 public:
  using Ring = TheRing;
  /// The group's first tile of 64 rows, and how many lie between one and the next.
  LOWBIT_HOST_DEVICE SliceFeed(Ring& ring, const Matrix& weight, int first_chunk, int chunks, int tile, int apart,
                               int in_tile)
      : ring_(ring),
        first_chunk_(first_chunk),
        chunks_(chunks),
        tiles_(group_tiles_of(weight)),
        tile_(tile),
        apart_(apart),
        in_tile_(in_tile) {}

  /// Starts the next chunk, if there is one; `first`: nothing was in its place. Else all lanes have read it.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void next(Thread& thread, bool first = false) {
    if (left_ == 0) {
      left_ = tile_ < tiles_ ? chunks_ : kEnded;
      if (left_ > 0) ring_.move_to(tile_ * kGroupTiles + in_tile_, first_chunk_);
      tile_ += apart_;
    }
    if (left_ > 0) {
      ring_.start(thread);
    } else {
      ring_.skip(thread, first);
    }
    --left_;
  }
  [[nodiscard]] LOWBIT_HOST_DEVICE Ring& ring() { return ring_; }

 private:
  /// Not to be counted down to nothing.
  static constexpr int kEnded = -1;
  Ring& ring_;
  int first_chunk_;
  int chunks_;
  int tiles_;
  int tile_;  ///< the next one
  int apart_;
  int in_tile_;
  int left_ = 0;
};

/// An output's sum: of each slice's chunks in order f = fma(sum of x (code - zero), scale, f), then the slices' in
/// order.
template <typename Number, int kTokenTiles, int kSliceBits>
class HopperSliced {
 public:
  static constexpr int kSlices = 1 << kSliceBits;
  static constexpr int kGroups = 3;
  static constexpr int kWarps = kGroups * kGroupTiles;
  static constexpr int kThreads = kWarps * kLanes;
  static constexpr int kResidentBlocks = 1;
  static constexpr int kTokens = kTokenTiles * kTileTokens;
  static constexpr int kChunksAhead = kTokenTiles == 8 ? 4 : kTokenTiles == 4 ? 5 : 8;
  /// Of them, those that are asked for before the activations, which then do not wait behind all.
  static constexpr int kEarlyChunks = 2;
  using Ring = SliceRing<kChunksAhead>;
  using Feed = SliceFeed<Ring>;
  static constexpr int kStageWords = kTokens * kChunkSteps * kStepColumns / 2;
  /// Of each warp two barriers: "what others sent is there", and "what it sent may be replaced".
  static constexpr int kBarriersAt = kWarps * Ring::kWords;
  static constexpr int kOperandsAt = kBarriersAt + 4 * kWarps;
  using Input = SliceOperands<kOperandsAt, kStageWords>;
  static_assert(kOperandsAt % 4 == 0);

  /// Words of shared memory; behind the operands lies what other slices send.
  static constexpr int shared_words(int chunks) {
    return kOperandsAt + most_chunks(chunks) * kStageWords + kWarps * kSentTiles * kTileWords;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const HalfProduct& call) {
    const HopperSliced block(thread, call);
    thread.allow_next_grid();
    block.start_barriers(thread);
    if constexpr (kSlices > 1) thread.arrive_in_cluster();
    Ring ring(call.weight, block.lane_, block.warp_ * Ring::kWords);
    Feed feed(ring, call.weight, block.first_chunk_, block.chunks_, block.first_tile_, kGroups * call.slices.clusters,
              block.warp_ % kGroupTiles);
    LOWBIT_NO_UNROLL
    for (int i = 0; i < kEarlyChunks; ++i) feed.next(thread, true);
    thread.wait_for_previous_grid();
    block.load_operands(thread, call, [&] {
      LOWBIT_NO_UNROLL
      for (int i = kEarlyChunks; i < kChunksAhead; ++i) feed.next(thread, true);
    });
    thread.fence_operands();
    thread.sync();
    if constexpr (kSlices > 1) thread.wait_for_cluster();  // its barriers are there
    block.work(thread, call, feed);
    thread.template wait_copies<0>();
  }

 private:
  using Sums = float[kTokenTiles][4];
  using Turns = GroupTurns<4, Number, kTokenTiles, Feed>;
  static constexpr int kTileWords = kLanes * 4;

  /// Tiles of tokens are dealt to the slices in turn, of whom each adds its own up.
  static constexpr int kOwners = kSlices < kTokenTiles ? kSlices : kTokenTiles;
  static constexpr int kOwnTiles = kTokenTiles / kOwners;
  static constexpr int kSentTiles = kOwnTiles * (kSlices - 1);

  LOWBIT_HOST_DEVICE static constexpr int most_chunks(int chunks) { return (chunks + kSlices - 1) / kSlices; }

  template <typename Thread>
  LOWBIT_HOST_DEVICE HopperSliced(Thread& thread, const HalfProduct& call)
      : warp_(thread.warp()), lane_(thread.index() % kLanes), slice_(thread.block(0) % kSlices) {
    const int chunks = chunks_of(call.weight);
    first_chunk_ = chunks * slice_ / kSlices;
    chunks_ = chunks * (slice_ + 1) / kSlices - first_chunk_;
    first_tile_ = warp_ / kGroupTiles * call.slices.clusters + thread.block(0) / kSlices;
    sent_at_ = kOperandsAt + most_chunks(chunks) * kStageWords + (warp_ * kSentTiles * kLanes + lane_) * 4;
  }

  [[nodiscard]] LOWBIT_HOST_DEVICE int there_at() const { return kBarriersAt + 4 * warp_; }
  [[nodiscard]] LOWBIT_HOST_DEVICE int taken_at() const { return there_at() + 2; }
  /// Where slice `to` has the lane's sums that slice `from` sends of its own tile number `own`.
  [[nodiscard]] LOWBIT_HOST_DEVICE int sent_at(int own, int from, int to) const {
    return sent_at_ + (own * (kSlices - 1) + (from < to ? from : from - 1)) * kTileWords;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void start_barriers(Thread& thread) const {
    if constexpr (kSlices > 1) {
      if (thread.index() != 0) return;
      for (int w = 0; w < kWarps; ++w) {
        thread.start_barrier(kBarriersAt + 4 * w, 1);
        thread.start_barrier(kBarriersAt + 4 * w + 2, kOwners - (slice_ < kOwners ? 1 : 0));
      }
      thread.fence_barriers();
    }
  }

  // A warp takes a step of all tokens at a time, a lane 16 bytes of a token: so that few lines are read at once, and
  // lanes write to 32 banks. `meanwhile` is done when the first numbers are on their way. In place of a token that
  // there is not comes another one: nobody stores what it makes.
  template <typename Thread, typename Action>
  LOWBIT_HOST_DEVICE void load_operands(Thread& thread, const HalfProduct& call, const Action& meanwhile) const {
    constexpr int kStepsAtOnce = 24 / kTokenTiles < 6 ? 24 / kTokenTiles : 6;
    const int steps = chunks_ * kChunkSteps;
    const std::uint16_t* from = call.input + first_chunk_ * (kChunkSteps * kStepColumns) + lane_ % 4 * 8;
    LOWBIT_NO_UNROLL
    for (int first = 0; first < steps; first += kStepsAtOnce * kWarps) {
      Word4 columns[kStepsAtOnce][kTokenTiles];
      LOWBIT_UNROLL
      for (int n = 0; n < kTokenTiles; ++n) {
        const int token = n * kTileTokens + lane_ / 4;
        const std::uint16_t* of_token = from + (token < call.tokens ? token : call.tokens - 1) * call.input_stride;
        LOWBIT_UNROLL
        for (int i = 0; i < kStepsAtOnce; ++i) {
          const int step = first + i * kWarps + warp_;
          if (step < steps) columns[i][n] = thread.read16(of_token + step * kStepColumns);
        }
      }
      if (first == 0) meanwhile();
      LOWBIT_UNROLL
      for (int i = 0; i < kStepsAtOnce; ++i) {
        const int step = first + i * kWarps + warp_;
        if (step < steps) store_step(thread, step, columns[i]);
      }
    }
  }

  // The lane's columns are its place in each of the step's lines, which lie as `operand_offset` says: 32 words of eight
  // tokens side by side.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void store_step(Thread& thread, int step, const Word4 (&columns)[kTokenTiles]) const {
    auto shared = thread.template shared<std::uint32_t>();
    const int at = kOperandsAt + step * 4 * kTokenTiles * kLanes + lane_;
    LOWBIT_UNROLL
    for (int brick = 0; brick < 4 * kTokenTiles; ++brick) {
      shared.store(at + brick * kLanes, columns[brick % kTokenTiles].x[brick / kTokenTiles]);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void work(Thread& thread, const HalfProduct& call, Feed& feed) const {
    const int tiles = group_tiles_of(call.weight);
    typename Turns::Ahead ahead;
    Turns::begin(thread, feed, ahead);
    std::uint32_t round = 0;
    LOWBIT_NO_UNROLL
    for (int tile = thread.uniform(first_tile_); tile < tiles; tile += kGroups * call.slices.clusters) {
      Sums sums = {};
      typename Input::Place place;
      Turns::template add<Input>(thread, feed, thread.uniform(chunks_), place, ahead, sums);
      const int row = (tile * kGroupTiles + warp_ % kGroupTiles) * kTileRows;
      if constexpr (kSlices > 1) exchange(thread, round, sums);
      store_own(call, row, sums);
      ++round;
    }
    // Until others have taken what was sent last: they arrive at this block's barriers.
    if (kSlices > 1 && round > 0) thread.wait_barrier(taken_at(), (round - 1) % 2);
  }

  // Behind it the sums of the slice's own tiles of tokens are those of all slices.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void exchange(Thread& thread, std::uint32_t round, Sums& sums) const {
    if (round > 0) thread.wait_barrier(taken_at(), (round - 1) % 2);
    LOWBIT_UNROLL
    for (int owner = 0; owner < kOwners; ++owner) {
      if (owner == slice_) continue;
      const auto to = thread.word_of(owner, sent_at(0, slice_, owner));
      const auto barrier = thread.word_of(owner, there_at());
      LOWBIT_UNROLL
      for (int own = 0; own < kOwnTiles; ++own) {
        thread.send(to.behind(own * (kSlices - 1) * kTileWords), words_of(sums[owner + own * kOwners]), barrier);
      }
    }
    if (slice_ >= kOwners) return;
    if (lane_ == 0) thread.expect(there_at(), kSentTiles * kTileWords * 4);
    thread.wait_barrier(there_at(), round % 2);
    LOWBIT_UNROLL
    for (int owner = 0; owner < kOwners; ++owner) {
      if (owner != slice_) continue;
      LOWBIT_UNROLL
      for (int own = 0; own < kOwnTiles; ++own) add_slices(thread, own, owner, sums[owner + own * kOwners]);
    }
    thread.sync_warp();
    if (lane_ < kSlices && lane_ != slice_) thread.arrive_at(lane_, taken_at());
  }

  // In the order of slices; `owner` is this one.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_slices(Thread& thread, int own, int owner, float (&sums)[4]) const {
    auto shared = thread.template shared<float>();
    Word4 parts[kSlices];
    LOWBIT_UNROLL
    for (int from = 0; from < kSlices; ++from) {
      parts[from] = from == owner ? words_of(sums) : shared.load16(sent_at(own, from, owner));
    }
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) sums[i] = float_from_bits(parts[0].x[i]);
    LOWBIT_UNROLL
    for (int e = 4; e < 4 * kSlices; ++e) sums[e % 4] += float_from_bits(parts[e / 4].x[e % 4]);
  }

  LOWBIT_HOST_DEVICE void store_own(const HalfProduct& call, int row, const Sums& sums) const {
    float own[kOwnTiles][4];
    LOWBIT_UNROLL
    for (int e = 0; e < 4 * kTokenTiles; ++e) {
      if (e / 4 % kOwners == 0 || e / 4 % kOwners == slice_) own[e / 4 / kOwners][e % 4] = sums[e / 4][e % 4];
    }
    if (slice_ >= kOwners) return;
    LOWBIT_UNROLL
    for (int e = 0; e < 4 * kOwnTiles; ++e) {
      const int token = (e / 4 * kOwners + slice_) * kTileTokens + lane_ % 4 * 2 + e % 2;
      const int own_row = row + lane_ / 4 + e % 4 / 2 * 8;
      if (token < call.tokens && own_row < call.weight.rows) call.output.store(token, own_row, own[e / 4][e % 4]);
    }
  }

  int warp_;
  int lane_;
  int slice_;  ///< this block's
  int first_chunk_;
  int chunks_;
  int first_tile_;  ///< the group's
  int sent_at_;
};

}  // namespace lowbit::kernels::cuda
