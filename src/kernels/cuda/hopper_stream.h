#pragma once

#include "kernels/cuda/hopper_input.h"
#include "kernels/cuda/lane_ring.h"
#include "kernels/cuda/operand_ring.h"
#include "kernels/cuda/warp_sums.h"

// What Hopper's kernels (sm_90a) have in common. A block stays on its multiprocessor and works through its worker's
// segments (stream.h). One warp copies activations, laid out as hopper_input.h says, into stages of shared memory; two
// groups of four warps take 64 rows each, bring their weights in themselves, and make them the left operand of the
// matrix instruction, from registers. Neither waits where one segment ends and the next begins.
namespace lowbit::kernels::cuda {

inline constexpr int kConsumerWarps = 8;
inline constexpr int kBlockRows = kConsumerWarps * kTileRows;

/// A worker's weights on their way, in the order of its segments.
template <typename Ring>
class RingFeed {
 public:
  /// Its first tile of a segment lies so far behind the segment's row.
  LOWBIT_HOST_DEVICE RingFeed(Ring& ring, const Share& share, int tiles_of_row, int tile)
      : ring_(ring), share_(share), tiles_of_row_(tiles_of_row), tile_(tile) {}

  /// Starts the next chunk; behind the last one zeros come. All lanes of the warp have read what was in its place.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void next(Thread& thread) {
    if (left_ == 0) {
      const Segment segment = share_.segment(segment_++);
      left_ = segment.count;
      chunk_ = segment.first;
      if (left_ > 0) ring_.move_to(segment.row * tiles_of_row_ + tile_);
    }
    ring_.start(thread, chunk_, started_++, left_ > 0);
    if (left_ == 0) return;
    ++chunk_;
    --left_;
  }
  [[nodiscard]] LOWBIT_HOST_DEVICE const Ring& ring() const { return ring_; }

 private:
  Ring& ring_;
  const Share& share_;
  int tiles_of_row_;
  int tile_;
  int segment_ = 0;  ///< the next one
  int chunk_ = 0;
  int left_ = 0;
  int started_ = 0;
};

/// `Maker` adds a segment's products to sums and stores them. It has
///   Call, Sum; kBits, kParameters (whether scales come with the weights), kTokenTiles, kClusterBlocks, kStages,
///   kStagesOfChunk, kStageWords, kChunksAhead; kExtraWords of shared memory for each warp;
///   add(thread, weight, feed, segment, i, sums): `i` counts the worker's chunks in front of the segment;
///   store(thread, call, row, token, at, sums): the warp's first row, the tile's first token, words of its own.
template <typename Maker>
class HopperStream {
 public:
  using Call = typename Maker::Call;
  using Sum = typename Maker::Sum;
  /// Consumers need more registers than each of so many threads can have: the producer's warp has three beside it that
  /// do nothing but give theirs away, since registers move by groups of four warps.
  static constexpr int kThreads = (kConsumerWarps + 4) * kLanes;
  static constexpr int kProducerRegisters = 24;
  static constexpr int kConsumerRegisters = 240;
  static constexpr int kResidentBlocks = 1;
  static constexpr int kClusterBlocks = Maker::kClusterBlocks;
  static constexpr int kTokens = Maker::kTokenTiles * kTileTokens;
  using Weights = LaneRing<Maker::kBits, Maker::kChunksAhead, Maker::kParameters>;
  using Input = OperandRing<kConsumerWarps * Weights::kWords, Maker::kStages, Maker::kStageWords, kConsumerWarps,
                            kClusterBlocks>;
  static constexpr int kWarpWords = kTurnedWords + Maker::kExtraWords;
  static constexpr int kSharedWords = Input::kEnd + kConsumerWarps * kWarpWords;
  static_assert(kSharedWords * 4 <= 227 * 1024 && Input::kEnd % 4 == 0 && kWarpWords % 4 == 0);

  static constexpr Stream stream_of(const Matrix& weight, int tokens, int workers) {
    constexpr int kTiles = kConsumerWarps * kClusterBlocks;
    return Stream::of((tiles_of(weight) + kTiles - 1) / kTiles, (tokens + kTokens - 1) / kTokens, chunks_of(weight),
                      workers);
  }
  static constexpr std::int64_t shared_sums(const Stream& stream) {
    return stream.shared_tiles() == 0 ? 0 : std::int64_t{stream.slots()} * kClusterBlocks * kBlockRows * kTokens;
  }
  static constexpr std::int64_t arrivals(const Stream& stream) {
    return std::int64_t{stream.shared_tiles()} * kClusterBlocks * kConsumerWarps;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const Call& call) {
    const HopperStream block(thread, call);
    thread.allow_next_grid();
    Input::prepare(thread);
    if (thread.warp() >= kConsumerWarps) {
      thread.template give_registers<kProducerRegisters>();
      if (thread.warp() == kConsumerWarps) block.produce(thread, call);
      Input::leave(thread);
    } else {
      thread.template take_registers<kConsumerRegisters>();
      block.consume(thread, call);
      Input::leave(thread);
    }
  }

 private:
  template <typename Thread>
  LOWBIT_HOST_DEVICE HopperStream(Thread& thread, const Call& call)
      : share_(call.stream, thread.block(0) / kClusterBlocks), block_(thread.block(0) % kClusterBlocks) {}

  template <typename Thread>
  LOWBIT_HOST_DEVICE void produce(Thread& thread, const Call& call) const {
    thread.wait_for_previous_grid();
    if (thread.index() % kLanes == 0) {
      int i = 0;
      for (int number = 0;; ++number) {
        const Segment segment = share_.segment(number);
        if (segment.count == 0) break;
        const std::int64_t chunk = std::int64_t{segment.token} * call.stream.chunks + segment.first;
        const std::uint32_t* from = Maker::operands(call) + chunk * (Maker::kStagesOfChunk * Maker::kStageWords);
        for (int s = 0; s < segment.count * Maker::kStagesOfChunk; ++s) {
          Input::fill(thread, from + std::int64_t{s} * Maker::kStageWords, i++);
        }
      }
    }
    thread.sync_warp();
  }

  // The first weights are on their way before the grid in front has ended.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void consume(Thread& thread, const Call& call) const {
    const int warp = thread.warp();
    Weights ring(call.weight, thread.index() % kLanes, warp * Weights::kWords);
    RingFeed<Weights> feed(ring, share_, kClusterBlocks * kConsumerWarps, block_ * kConsumerWarps + warp);
    for (int i = 0; i < Maker::kChunksAhead; ++i) feed.next(thread);
    thread.wait_for_previous_grid();  // before the outputs: the grid in front may read what they replace
    const SharedTiles<Sum> shared = {call.partials, call.arrivals};
    int i = 0;
    LOWBIT_NO_UNROLL
    for (int number = 0;; ++number) {
      const Segment segment = share_.segment(number);
      if (segment.count == 0) break;
      Sum sums[Maker::kTokenTiles][4] = {};
      Maker::template add<Input>(thread, call.weight, feed, segment, i, sums);
      i += segment.count;
      if (!join_tile<kClusterBlocks, kConsumerWarps>(thread, call.stream, shared, share_.worker(), block_, segment.tile,
                                                     sums)) {
        continue;
      }
      const int row = ((segment.row * kClusterBlocks + block_) * kConsumerWarps + warp) * kTileRows;
      Maker::store(thread, call, row, segment.token * kTokens, Input::kEnd + warp * kWarpWords, sums);
    }
    thread.template wait_copies<0>();
  }

  Share share_;
  int block_;  ///< of the worker
};

/// So many numbers of each token, sixteen bits or eight, of a stage that holds a chunk's tokens; as `operand_descriptor`
/// takes a stage's address.
template <typename Input, int kTokens, typename Thread>
LOWBIT_HOST_DEVICE inline std::uint64_t stage_operand(Thread& thread, int i) {
  constexpr std::uint32_t kTokenBytes = 128;
  return operand_descriptor(thread.shared_address(Input::stage_at(i)), kTokens / 8 * kTokenBytes, kTokenBytes);
}

}  // namespace lowbit::kernels::cuda
