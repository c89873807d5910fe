#pragma once

#include "kernels/cuda/group_step.h"
#include "kernels/cuda/group_store.h"
#include "kernels/cuda/hopper_stream.h"

// Products of many 16-bit activations on Hopper, whose weights are rounded to 16 bits as `Expand` rounds them: sums
// then need no room beside those of groups, so that a block makes 256 tokens and decodes a weight half as often.
namespace lowbit::kernels::cuda {

/// An output's sum: of x w over all columns in order, in float32, w being scale (code - zero) rounded once; shares of
/// the columns are added in order. `kTheLag`: as `Maker::kLag` (hopper_stream.h); stages are then half as large, and
/// outputs go by lines.
template <int kTheBits, typename Number, int kTheLag = 0>
class HopperRounded {
 public:
  using Call = HalfProduct;
  using Sum = float;
  static constexpr int kBits = kTheBits;
  static constexpr int kTokenTiles = 32;
  static constexpr int kLag = kTheLag;
  static constexpr bool kParameters = true;
  static constexpr int kTokens = kTokenTiles * kTileTokens;
  static constexpr int kClusterBlocks = 2;
  /// A stage is half a chunk, 32 KB, or a quarter.
  static constexpr int kStagesOfChunk = kLag > 0 ? 4 : 2;
  static constexpr int kStages = 2 * kStagesOfChunk;
  static constexpr int kUnitSteps = kChunkSteps / kStagesOfChunk;
  static constexpr int kOperandWords = kTokens * kOperandDepth / 2;
  static constexpr int kStageWords = kChunkOperands / kStagesOfChunk * kOperandWords;
  static constexpr int kChunksAhead = 6;
  static constexpr int kStoreWords = kLag > 0 ? StorePanel::kWords : kGroupTurnedWords;
  using Weights = LaneRing<kBits, kChunksAhead, kParameters>;
  using Feed = RingFeed<Weights>;
  using Sums = float[kTokenTiles][4];

  LOWBIT_HOST_DEVICE static const std::uint32_t* operands(const HalfProduct& call) {
    return reinterpret_cast<const std::uint32_t*>(call.input);
  }

  using Numbers = std::conditional_t<(kLag > 0), RowBias, NoNumbers>;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static Numbers begin(Thread& thread, const HalfProduct& call, int row, int) {
    if constexpr (kLag > 0) return RowBias::load(thread, call.output, row, call.weight.rows);
    return {};
  }

  // A unit, a stage of a chunk, is decoded while the products of the one before it run; its registers are free when
  // those of two units before are done.
  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add(Thread& thread, const Matrix& weight, Feed& feed, const Segment& segment,
                                     typename Input::Place& place, Sums& sums) {
    if (weight.group_steps % kChunkSteps == 0) {
      add_chunks<Input, false>(thread, weight, feed, segment, place, sums);
    } else {
      add_chunks<Input, true>(thread, weight, feed, segment, place, sums);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void store(Thread& thread, const HalfProduct& call, int row, int token, int at,
                                       const Numbers& numbers, const Sums& sums) {
    if constexpr (kLag > 0) {
      if (stores_by_lines(call.output, call.weight.rows)) {
        const int warp = thread.index() / kLanes % kGroupWarps;
        const StorePlace place = {row - warp * kTileRows, call.weight.rows, token, call.tokens, at};
        return store_by_lines<kTokenTiles>(thread, call.output, place, [&](int n, float(&y)[4]) {
          LOWBIT_UNROLL
          for (int e = 0; e < 4; ++e) y[e] = numbers.add(e / 2, sums[n][e]);
        });
      }
    }
    store_sums(thread, call, row, token, at, sums);
  }

 private:
  using Unit = std::uint32_t[kUnitSteps][2][4];

  /// A chunk's codes, and what its groups have in common: the first one's numbers, where it has no others.
  struct Chunk {
    Codes<kBits> codes;
    GroupNumbers group;
  };

  template <typename Input, bool kManyGroups, typename Thread>
  LOWBIT_HOST_DEVICE static void add_chunks(Thread& thread, const Matrix& weight, Feed& feed, const Segment& segment,
                                            typename Input::Place& place, Sums& sums) {
    Unit units[2];
    Chunk chunk;
    int number = segment.first;
    Weights::template wait<kChunksAhead - 1>(thread);
    read<kManyGroups>(thread, feed, chunk);
    decode_unit<kManyGroups>(thread, weight, feed, chunk, number, 0, units[0]);
    multiply_unit<Input>(thread, place, units[0], sums);
    LOWBIT_NO_UNROLL
    for (int left = segment.count;;) {
      LOWBIT_UNROLL
      for (int unit = 1; unit < kStagesOfChunk; ++unit) {
        const int before = place.stage;
        place.advance();
        decode_unit<kManyGroups>(thread, weight, feed, chunk, number, unit, units[unit % 2]);
        multiply_unit<Input>(thread, place, units[unit % 2], sums);
        if (unit + 1 == kStagesOfChunk) {
          thread.sync_warp();  // all lanes have read the chunk's parameters
          feed.next(thread);
          Weights::template wait<kChunksAhead - 1>(thread);
          feed.ring().step();
        }
        thread.template wait_group_products<1>();
        Input::release(thread, before);
      }
      if (--left == 0) break;
      ++number;
      read<kManyGroups>(thread, feed, chunk);
      decode_unit<kManyGroups>(thread, weight, feed, chunk, number, 0, units[0]);
      const int before = place.stage;
      place.advance();
      multiply_unit<Input>(thread, place, units[0], sums);
      thread.template wait_group_products<1>();
      Input::release(thread, before);
    }
    thread.template wait_group_products<0>();
    Input::release(thread, place.stage);
    place.advance();
  }

  template <bool kManyGroups, typename Thread>
  LOWBIT_HOST_DEVICE static void read(Thread& thread, Feed& feed, Chunk& chunk) {
    chunk.codes = feed.ring().codes(thread);
    if constexpr (!kManyGroups) chunk.group = feed.ring().numbers(thread, 0);
  }

  // Steps behind the last one meet activations that are zero.
  template <bool kManyGroups, typename Thread>
  LOWBIT_HOST_DEVICE static void decode_unit(Thread& thread, const Matrix& weight, Feed& feed, const Chunk& chunk,
                                             int number, int unit, Unit& operands) {
    LOWBIT_UNROLL
    for (int s = 0; s < kUnitSteps; ++s) {
      GroupNumbers group = chunk.group;
      if constexpr (kManyGroups) {
        const int step = number * kChunkSteps + unit * kUnitSteps + s;
        const int last = weight.steps - 1;
        const int first_group = number * kChunkSteps / weight.group_steps;
        group = feed.ring().numbers(thread, (step < last ? step : last) / weight.group_steps - first_group);
      }
      decode_scaled<kBits, Number>(thread, chunk.codes, group, unit * kUnitSteps + s, operands[s]);
    }
  }

  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_unit(Thread& thread, const typename Input::Place& place, const Unit& operands,
                                               Sums& sums) {
    Input::wait(thread, place);
    const StageOperand<Input, kTokens> operand(thread, place.stage);
    thread.begin_group_products();
    LOWBIT_UNROLL
    for (int s = 0; s < kUnitSteps; ++s) {
      LOWBIT_UNROLL
      for (int part = 0; part < 2; ++part) {
        thread.multiply_group(Number{}, sums, operands[s][part], operand.behind((2 * s + part) * kOperandWords / 4),
                              true);
      }
    }
    thread.commit_group_products();
  }
};

}  // namespace lowbit::kernels::cuda
