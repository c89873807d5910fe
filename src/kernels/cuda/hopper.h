#pragma once

#include "kernels/cuda/group_turns.h"

// Products of 16-bit activations on Hopper whose weights are decoded while products of earlier ones run.
namespace lowbit::kernels::cuda {

/// An output's sum: for each group that a chunk of columns holds, in order, f = fma(sum of x (code - zero), scale, f);
/// shares of the chunks are added in order.
template <int kTheBits, typename Number, int kTheTokenTiles>
class HopperExact {
 public:
  using Call = HalfProduct;
  using Sum = float;
  static constexpr int kBits = kTheBits;
  static constexpr int kTokenTiles = kTheTokenTiles;
  static constexpr bool kParameters = true;
  static constexpr int kTokens = kTokenTiles * kTileTokens;
  /// With 128 tokens a block reads four times as many activations as weights: two blocks share them.
  static constexpr int kClusterBlocks = kTokenTiles <= 8 ? 1 : 2;
  static constexpr int kStages = kTokenTiles == 16 ? 4 : kTokenTiles == 8 ? 6 : 8;
  static constexpr int kStagesOfChunk = 1;
  static constexpr int kOperandWords = kTokens * kOperandDepth / 2;
  static constexpr int kStageWords = kChunkOperands * kOperandWords;
  /// Weights come from memory, whose answer takes twice as long as that of the cache.
  static constexpr int kChunksAhead = kTokenTiles == 16 ? 6 : 8;
  static constexpr int kLag = 0;
  static constexpr int kStoreWords = kGroupTurnedWords;
  using Weights = LaneRing<kBits, kChunksAhead, kParameters>;
  using Feed = RingFeed<Weights>;
  using Sums = float[kTokenTiles][4];

  LOWBIT_HOST_DEVICE static const std::uint32_t* operands(const HalfProduct& call) {
    return reinterpret_cast<const std::uint32_t*>(call.input);
  }

  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add(Thread& thread, const Matrix& weight, Feed& feed, const Segment& segment,
                                     typename Input::Place& place, Sums& sums) {
    if (weight.group_steps % kChunkSteps != 0) {
      add_steps<Input>(thread, weight, feed, segment, place, sums);
    } else if constexpr (kHalves == 2) {
      add_by_halves<Input>(thread, feed, segment.count, place, sums);
    } else {
      using Turns = GroupTurns<kBits, Number, kTokenTiles, Feed>;
      Ahead ahead;
      Turns::begin(thread, feed, ahead);
      Turns::template add<Input>(thread, feed, segment.count, place, ahead, sums);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static NoNumbers begin(Thread&, const HalfProduct&, int, int) {
    return {};
  }
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void store(Thread& thread, const HalfProduct& call, int row, int token, int at,
                                       const NoNumbers&, const Sums& sums) {
    store_sums(thread, call, row, token, at, sums);
  }

 private:
  /// Sums of 64 tokens at most are made together.
  static constexpr int kHalves = kTokenTiles == 16 ? 2 : 1;
  using Units = HalfChunks<kBits, Number, kTokenTiles, kHalves>;
  using Half = typename Units::Half;
  using Ahead = typename Units::Ahead;
  static constexpr int kHalfTiles = Units::kHalfTiles;

  // The same for twice as many tokens, where registers do not suffice for the sums of two chunks: the two halves of the
  // tokens take turns, so that one's products run while the other's sums meet their scale.
  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add_by_halves(Thread& thread, Feed& feed, int count, typename Input::Place& place,
                                               Sums& sums) {
    Half halves[2];
    Ahead ahead;
    Weights::template wait<kChunksAhead - 1>(thread);
    read_ahead(thread, feed, ahead);
    Input::wait(thread, place);
    StageOperand<Input, kTokens> operand(thread, place.stage);
    Units::multiply_unit(thread, operand, 0, 0, ahead.units[0], halves[0], true);
    Units::multiply_unit(thread, operand, 0, 1, ahead.units[0], halves[1], true);
    LOWBIT_NO_UNROLL
    for (int left = count - 1; left > 0; --left) {
      multiply_second_unit(thread, operand, ahead, halves);
      Weights::template wait<kChunksAhead - 2>(thread);
      thread.template wait_group_products<2>();  // so that the first half's operands may be replaced
      const float scales[2] = {ahead.groups[0].scales[0], ahead.groups[0].scales[1]};
      feed.ring().step();
      read_ahead(thread, feed, ahead);
      const int before = place.stage;
      place.advance();
      Input::wait(thread, place);
      operand = StageOperand<Input, kTokens>(thread, place.stage);
      thread.template wait_group_products<1>();
      add_scaled(scales, halves[0], 0, sums);
      Units::multiply_unit(thread, operand, 0, 0, ahead.units[0], halves[0], true);
      thread.template wait_group_products<1>();
      Input::release(thread, before);
      add_scaled(scales, halves[1], kHalfTiles, sums);
      Units::multiply_unit(thread, operand, 0, 1, ahead.units[0], halves[1], true);
      feed.next(thread);
    }
    multiply_second_unit(thread, operand, ahead, halves);
    thread.template wait_group_products<0>();
    Input::release(thread, place.stage);
    place.advance();
    feed.next(thread);
    feed.ring().step();
    LOWBIT_UNROLL
    for (int half = 0; half < 2; ++half) add_scaled(ahead.groups[0].scales, halves[half], half * kHalfTiles, sums);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void read_ahead(Thread& thread, Feed& feed, Ahead& ahead) {
    ahead.codes = feed.ring().codes(thread);
    ahead.groups[0] = feed.ring().numbers(thread, 0);
    Units::decode_unit(thread, ahead.codes, ahead.groups[0], 0, ahead.units[0]);
  }

  template <typename Operand, typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_second_unit(Thread& thread, const Operand& operand, Ahead& ahead,
                                                      Half (&halves)[2]) {
    Units::decode_unit(thread, ahead.codes, ahead.groups[0], 1, ahead.units[1]);
    Units::multiply_unit(thread, operand, 1, 0, ahead.units[1], halves[0], false);
    Units::multiply_unit(thread, operand, 1, 1, ahead.units[1], halves[1], false);
  }

  // Chunks of several groups, or of a part of a group that ends within one: a step is decoded while the one before it
  // is multiplied. Nothing is on its way where paths part.
  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add_steps(Thread& thread, const Matrix& weight, Feed& feed, const Segment& segment,
                                           typename Input::Place& place, Sums& sums) {
    LOWBIT_NO_UNROLL
    for (int c = 0; c < segment.count; ++c) {
      Weights::template wait<kChunksAhead - 1>(thread);
      Input::wait(thread, place);
      add_steps_of_chunk(thread, weight, feed, (segment.first + c) * kChunkSteps,
                         StageOperand<Input, kTokens>(thread, place.stage), sums);
      Input::release(thread, place.stage);
      place.advance();
      feed.next(thread);
      feed.ring().step();
    }
  }

  template <typename Operand, typename Thread>
  LOWBIT_HOST_DEVICE static void add_steps_of_chunk(Thread& thread, const Matrix& weight, Feed& feed, int first_step,
                                                    const Operand& operand, Sums& sums) {
    const Codes<kBits> codes = feed.ring().codes(thread);
    const int steps = weight.steps - first_step < kChunkSteps ? weight.steps - first_step : kChunkSteps;
    GroupCursor cursor(weight, first_step);
    const int first_group = cursor.group;
    GroupNumbers group = feed.ring().numbers(thread, 0);
    bool opens = true;
    Half group_sums[kHalves];
    std::uint32_t operands[2][2][4];
    decode_operands<kBits, Number>(thread, codes, group, 0, operands[0]);
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      if (s >= steps) break;
      thread.begin_group_products();
      LOWBIT_UNROLL
      for (int half = 0; half < kHalves; ++half) {
        Units::multiply_step(thread, operand, s, half, operands[s % 2], group_sums[half], opens);
      }
      thread.commit_group_products();
      opens = cursor.advance(weight);
      GroupNumbers next = group;
      if (s + 1 < kChunkSteps) {
        next = feed.ring().numbers(thread, cursor.group - first_group);
        decode_operands<kBits, Number>(thread, codes, next, s + 1, operands[(s + 1) % 2]);
      }
      thread.template wait_group_products<0>();
      if (opens || s + 1 == steps) {
        LOWBIT_UNROLL
        for (int half = 0; half < kHalves; ++half) {
          add_scaled(group.scales, group_sums[half], half * kHalfTiles, sums);
        }
      }
      group = next;
    }
  }
};

}  // namespace lowbit::kernels::cuda
