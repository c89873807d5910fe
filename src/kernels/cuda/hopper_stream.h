#pragma once

#include <type_traits>

#include "kernels/cuda/hopper_input.h"
#include "kernels/cuda/lane_ring.h"
#include "kernels/cuda/operand_ring.h"
#include "kernels/cuda/warp_sums.h"

// What Hopper's kernels (sm_90a) have in common. A block stays on its multiprocessor and works through its worker's
// segments (stream.h). One warp copies activations, laid out as hopper_input.h says, into stages of shared memory; two
// groups of four warps take 64 rows each, bring their weights in themselves, and make them the left operand of the
// matrix instruction, from registers. Copies do not wait where one segment ends and the next begins.
namespace lowbit::kernels::cuda {

inline constexpr int kConsumerWarps = 8;
inline constexpr int kBlockRows = kConsumerWarps * kTileRows;

/// A worker's weights on their way, in the order of its segments.
template <typename TheRing>
class RingFeed {
 public:
  using Ring = TheRing;
  /// Its first tile of a segment lies so far behind the segment's row.
  LOWBIT_HOST_DEVICE RingFeed(Ring& ring, const Share& share, int tiles_of_row, int tile)
      : ring_(ring), share_(share), tiles_of_row_(tiles_of_row), tile_(tile) {}

  /// Starts the next chunk; behind the last one zeros come. All lanes of the warp have read what was in its place.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void next(Thread& thread) {
    if (left_ == 0) {
      const Segment segment = share_.segment(segment_++);
      left_ = thread.uniform(segment.count);
      if (left_ == 0) left_ = kEnded;
      if (left_ > 0) ring_.move_to(segment.row * tiles_of_row_ + tile_, segment.first);
    }
    ring_.start(thread, left_ > 0);
    --left_;
  }
  [[nodiscard]] LOWBIT_HOST_DEVICE Ring& ring() { return ring_; }

 private:
  /// Not to be counted down to nothing.
  static constexpr int kEnded = -1;
  Ring& ring_;
  const Share& share_;
  int tiles_of_row_;
  int tile_;
  int segment_ = 0;  ///< the next one
  int left_ = 0;
};

/// Of a maker that needs none to store sums.
struct NoNumbers {};

/// `Maker` adds a segment's products to sums and stores them. It has
///   Call, Sum; kBits, kParameters (whether scales come with the weights), kTokenTiles, kClusterBlocks, kStages,
///   kStagesOfChunk, kStageWords, kChunksAhead; kLag: both groups are at a segment at once, or the second one so many
///   stages behind the first; kStoreWords of shared memory for each group;
///   begin(thread, call, row, token): numbers that `store` will need, the warp's first row, the tile's first token;
///   add(thread, weight, feed, segment, place, sums): `place` is the segment's first stage, and then the one behind it;
///   store(thread, call, row, token, at, numbers, sums): words of the group's own from `at` on.
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
  static constexpr bool kWaitsForLaterBlocks = true;
  /// A share has no fewer chunks than pay for what it takes to leave its sums and to add them.
  static constexpr int kLeastChunks = 4 + Maker::kTokenTiles / 4;
  static constexpr int kTokens = Maker::kTokenTiles * kTileTokens;
  using Weights = LaneRing<Maker::kBits, Maker::kChunksAhead, Maker::kParameters>;
  using Input = std::conditional_t<
      Maker::kLag == 0,
      OperandRing<kConsumerWarps * Weights::kWords, Maker::kStages, Maker::kStageWords, kConsumerWarps, kClusterBlocks>,
      TurnRing<kConsumerWarps * Weights::kWords, Maker::kStages, Maker::kStageWords, kConsumerWarps, kClusterBlocks,
               Maker::kLag>>;
  static constexpr int kSharedWords = Input::kEnd + kConsumerWarps / kGroupWarps * Maker::kStoreWords;
  static_assert(kSharedWords * 4 <= 227 * 1024 && Input::kEnd % 4 == 0 && Maker::kStoreWords % 4 == 0);

  static constexpr Stream stream_of(const Matrix& weight, int tokens, int workers, int least_chunks = kLeastChunks) {
    constexpr int kTiles = kConsumerWarps * kClusterBlocks;
    return Stream::of((tiles_of(weight) + kTiles - 1) / kTiles, (tokens + kTokens - 1) / kTokens, chunks_of(weight),
                      workers, least_chunks);
  }
  static constexpr std::int64_t shared_sums(const Stream& stream) {
    return stream.sharers == stream.shared_tiles()
               ? 0
               : std::int64_t{stream.sharers} * kClusterBlocks * kBlockRows * kTokens;
  }
  static constexpr std::int64_t arrivals(const Stream& stream) {
    return stream.sharers == stream.shared_tiles()
               ? 0
               : std::int64_t{stream.shared_tiles()} * kClusterBlocks * kConsumerWarps;
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
      typename Input::Place place;
      for (int number = 0;; ++number) {
        const Segment segment = share_.segment(number);
        if (segment.count == 0) break;
        const std::int64_t chunk = std::int64_t{segment.token} * call.stream.chunks + segment.first;
        const std::uint32_t* from = Maker::operands(call) + chunk * (Maker::kStagesOfChunk * Maker::kStageWords);
        for (int s = 0; s < segment.count * Maker::kStagesOfChunk; ++s) {
          Input::fill(thread, from + std::int64_t{s} * Maker::kStageWords, place);
          place.advance();
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
    typename Input::Place place;
    LOWBIT_NO_UNROLL
    for (int number = 0;; ++number) {
      Segment segment = share_.segment(number);
      segment.count = thread.uniform(segment.count);
      if (segment.count == 0) break;
      const int row = ((segment.row * kClusterBlocks + block_) * kConsumerWarps + warp) * kTileRows;
      const auto numbers = Maker::begin(thread, call, row, segment.token * kTokens);
      Input::begin_tile(thread, warp / kGroupWarps, number, place);
      Sum sums[Maker::kTokenTiles][4] = {};
      Maker::template add<Input>(thread, call.weight, feed, segment, place, sums);
      Input::end_tile(thread, place);
      if (!join_tile<kClusterBlocks, kConsumerWarps>(thread, call.stream, shared, share_.worker(), block_, segment.tile,
                                                     sums)) {
        continue;
      }
      Maker::store(thread, call, row, segment.token * kTokens, Input::kEnd + warp / kGroupWarps * Maker::kStoreWords,
                   numbers, sums);
    }
    thread.template wait_copies<0>();
  }

  Share share_;
  int block_;  ///< of the worker
};

/// What the matrix instruction is told of a stage's operand, `units` of 16 bytes behind its first.
template <typename Input, int kTokens>
struct StageOperand {
  static constexpr std::uint32_t kTokenBytes = 128;
  static constexpr std::uint64_t kShape = operand_descriptor(0, kTokens / 8 * kTokenBytes, kTokenBytes);
  std::uint32_t low;

  template <typename Thread>
  LOWBIT_HOST_DEVICE StageOperand(Thread& thread, int stage)
      : low(static_cast<std::uint32_t>(
            operand_descriptor(thread.shared_address(Input::stage_at(stage)), kTokens / 8 * kTokenBytes, 0))) {}
  /// Addresses stay below 256 KB in a block's memory, so that nothing is carried into what lies above them.
  LOWBIT_HOST_DEVICE std::uint64_t behind(int units) const {
    return (kShape >> 32 << 32) | (low + static_cast<std::uint32_t>(units));
  }
};

}  // namespace lowbit::kernels::cuda
