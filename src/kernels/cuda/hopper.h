#pragma once

#include "kernels/cuda/group_step.h"
#include "kernels/cuda/hopper_stream.h"

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
  static constexpr int kExtraWords = 0;
  using Weights = LaneRing<kBits, kChunksAhead, kParameters>;
  using Feed = RingFeed<Weights>;
  using Sums = float[kTokenTiles][4];

  LOWBIT_HOST_DEVICE static const std::uint32_t* operands(const HalfProduct& call) {
    return reinterpret_cast<const std::uint32_t*>(call.input);
  }

  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add(Thread& thread, const Matrix& weight, Feed& feed, const Segment& segment,
                                     int i, Sums& sums) {
    if (weight.group_steps % kChunkSteps != 0) {
      add_steps<Input>(thread, weight, feed, segment, i, sums);
    } else if constexpr (kHalves == 2) {
      add_by_halves<Input>(thread, weight, feed, i, i + segment.count, sums);
    } else {
      add_by_turns<Input>(thread, weight, feed, i, i + segment.count, sums);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void store(Thread& thread, const HalfProduct& call, int row, int token, int at,
                                       const Sums& sums) {
    store_sums(thread, call, row, token, at, sums);
  }

 private:
  /// Steps that are decoded together, while those before them are multiplied.
  static constexpr int kUnitSteps = kChunkSteps / 2;
  using Unit = std::uint32_t[kUnitSteps][2][4];
  /// Sums of 64 tokens at most are made together.
  static constexpr int kHalves = kTokenTiles == 16 ? 2 : 1;
  static constexpr int kHalfTiles = kTokenTiles / kHalves;
  using Half = float[kHalfTiles][4];

  /// What comes from one chunk to the next: the first half of it, decoded, its codes, and the parameters of two chunks.
  struct Ahead {
    Unit units[2];
    Codes<kBits> codes;
    Parameters parameters[2];
  };

  // Chunks of one group each; steps that the last one lacks are zero, since their activations are. Two chunks' sums
  // take turns: those of one meet their scale while products of the next run.
  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add_by_turns(Thread& thread, const Matrix& weight, Feed& feed, int i, int end,
                                              Sums& sums) {
    Half turns[2];
    Ahead ahead;
    Weights::template wait<kChunksAhead - 1>(thread);
    read_ahead<0>(thread, feed, i, ahead);
    Input::wait(thread, i);
    multiply_unit(thread, stage_operand<Input, kTokens>(thread, i), 0, 0, ahead.units[0], turns[0], true);
    end_turn<0, Input>(thread, feed, i, ahead, turns);
    ++i;
    for (; i + 1 < end; i += 2) {
      take_turn<1, Input>(thread, weight, feed, i, ahead, turns, sums);
      take_turn<0, Input>(thread, weight, feed, i + 1, ahead, turns, sums);
    }
    if (i < end) {
      take_turn<1, Input>(thread, weight, feed, i, ahead, turns, sums);
      thread.template wait_group_products<0>();
      add_scaled(weight, ahead.parameters[1], turns[1], 0, sums);
    } else {
      thread.template wait_group_products<0>();
      add_scaled(weight, ahead.parameters[0], turns[0], 0, sums);
    }
    Input::release(thread, end - 1);
  }

  template <int kTurn, typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void take_turn(Thread& thread, const Matrix& weight, Feed& feed, int i, Ahead& ahead,
                                    Half (&turns)[2], Sums& sums) {
    Input::wait(thread, i);
    multiply_unit(thread, stage_operand<Input, kTokens>(thread, i), 0, 0, ahead.units[0], turns[kTurn], true);
    thread.template wait_group_products<1>();  // the chunk in front is done
    Input::release(thread, i - 1);
    add_scaled(weight, ahead.parameters[1 - kTurn], turns[1 - kTurn], 0, sums);
    end_turn<kTurn, Input>(thread, feed, i, ahead, turns);
  }

  // Behind the products of the chunk's first half.
  template <int kTurn, typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void end_turn(Thread& thread, Feed& feed, int i, Ahead& ahead,
                                   Half (&turns)[2]) {
    decode_unit(thread, ahead.codes, ahead.parameters[kTurn], 1, ahead.units[1]);
    multiply_unit(thread, stage_operand<Input, kTokens>(thread, i), 1, 0, ahead.units[1], turns[kTurn], false);
    thread.sync_warp();  // all lanes have read the chunk's parameters
    feed.next(thread);
    Weights::template wait<kChunksAhead - 1>(thread);
    thread.template wait_group_products<1>();  // so that the first half's operands may be replaced
    read_ahead<1 - kTurn>(thread, feed, i + 1, ahead);
  }

  template <int kTurn, typename Thread>
  LOWBIT_HOST_DEVICE static void read_ahead(Thread& thread, Feed& feed, int i, Ahead& ahead) {
    ahead.codes = feed.ring().codes(thread, i);
    ahead.parameters[kTurn] = feed.ring().parameters(thread, i, 0);
    decode_unit(thread, ahead.codes, ahead.parameters[kTurn], 0, ahead.units[0]);
  }

  // The same for twice as many tokens, where registers do not suffice for the sums of two chunks: the two halves of the
  // tokens take turns, so that one's products run while the other's sums meet their scale.
  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add_by_halves(Thread& thread, const Matrix& weight, Feed& feed, int i, int end,
                                               Sums& sums) {
    Half halves[2];
    Ahead ahead;
    Weights::template wait<kChunksAhead - 1>(thread);
    read_ahead<0>(thread, feed, i, ahead);
    Input::wait(thread, i);
    std::uint64_t operand = stage_operand<Input, kTokens>(thread, i);
    multiply_unit(thread, operand, 0, 0, ahead.units[0], halves[0], true);
    multiply_unit(thread, operand, 0, 1, ahead.units[0], halves[1], true);
    for (; i + 1 < end; ++i) {
      multiply_second_unit(thread, operand, ahead, halves);
      Weights::template wait<kChunksAhead - 2>(thread);
      thread.template wait_group_products<2>();  // so that the first half's operands may be replaced
      const Parameters parameters = ahead.parameters[0];
      read_ahead<0>(thread, feed, i + 1, ahead);
      Input::wait(thread, i + 1);
      operand = stage_operand<Input, kTokens>(thread, i + 1);
      thread.template wait_group_products<1>();
      add_scaled(weight, parameters, halves[0], 0, sums);
      multiply_unit(thread, operand, 0, 0, ahead.units[0], halves[0], true);
      thread.template wait_group_products<1>();
      Input::release(thread, i);
      add_scaled(weight, parameters, halves[1], kHalfTiles, sums);
      multiply_unit(thread, operand, 0, 1, ahead.units[0], halves[1], true);
      feed.next(thread);
    }
    multiply_second_unit(thread, operand, ahead, halves);
    thread.template wait_group_products<0>();
    Input::release(thread, end - 1);
    feed.next(thread);
    LOWBIT_UNROLL
    for (int half = 0; half < 2; ++half) {
      add_scaled(weight, ahead.parameters[0], halves[half], half * kHalfTiles, sums);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_second_unit(Thread& thread, std::uint64_t operand, Ahead& ahead,
                                                      Half (&halves)[2]) {
    decode_unit(thread, ahead.codes, ahead.parameters[0], 1, ahead.units[1]);
    multiply_unit(thread, operand, 1, 0, ahead.units[1], halves[0], false);
    multiply_unit(thread, operand, 1, 1, ahead.units[1], halves[1], false);
  }

  // Chunks of several groups, or of a part of a group that ends within one: a step is decoded while the one before it
  // is multiplied. Nothing is on its way where paths part.
  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add_steps(Thread& thread, const Matrix& weight, Feed& feed,
                                    const Segment& segment, int i, Sums& sums) {
    for (int c = 0; c < segment.count; ++c, ++i) {
      Weights::template wait<kChunksAhead - 1>(thread);
      Input::wait(thread, i);
      add_steps_of_chunk<Input>(thread, weight, feed, (segment.first + c) * kChunkSteps, i, sums);
      Input::release(thread, i);
      feed.next(thread);
    }
  }

  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add_steps_of_chunk(Thread& thread, const Matrix& weight, Feed& feed, int first_step,
                                             int i, Sums& sums) {
    const Codes<kBits> codes = feed.ring().codes(thread, i);
    const int steps = weight.steps - first_step < kChunkSteps ? weight.steps - first_step : kChunkSteps;
    GroupCursor cursor(weight, first_step);
    const int first_group = cursor.group;
    Parameters parameters = feed.ring().parameters(thread, i, 0);
    const std::uint64_t operand = stage_operand<Input, kTokens>(thread, i);
    bool opens = true;
    Half group_sums[kHalves];
    std::uint32_t operands[2][2][4];
    decode_operands<kBits, Number>(thread, codes, parameters, 0, operands[0]);
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      if (s >= steps) break;
      thread.begin_group_products();
      LOWBIT_UNROLL
      for (int half = 0; half < kHalves; ++half) {
        multiply_step(thread, operand, s, half, operands[s % 2], group_sums[half], opens);
      }
      thread.commit_group_products();
      opens = cursor.advance(weight);
      Parameters next = parameters;
      if (s + 1 < kChunkSteps) {
        next = feed.ring().parameters(thread, i, cursor.group - first_group);
        decode_operands<kBits, Number>(thread, codes, next, s + 1, operands[(s + 1) % 2]);
      }
      thread.template wait_group_products<0>();
      if (opens || s + 1 == steps) {
        LOWBIT_UNROLL
        for (int half = 0; half < kHalves; ++half) {
          add_scaled(weight, parameters, group_sums[half], half * kHalfTiles, sums);
        }
      }
      parameters = next;
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void decode_unit(Thread& thread, const Codes<kBits>& codes, const Parameters& parameters,
                                             int unit, Unit& operands) {
    LOWBIT_UNROLL
    for (int s = 0; s < kUnitSteps; ++s) {
      decode_operands<kBits, Number>(thread, codes, parameters, unit * kUnitSteps + s, operands[s]);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_unit(Thread& thread, std::uint64_t operand, int unit, int half,
                                               const Unit& operands, Half& group_sums, bool opens) {
    thread.begin_group_products();
    LOWBIT_UNROLL
    for (int s = 0; s < kUnitSteps; ++s) {
      multiply_step(thread, operand, unit * kUnitSteps + s, half, operands[s], group_sums, opens && s == 0);
    }
    thread.commit_group_products();
  }

  /// The first product of a group begins its sums.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_step(Thread& thread, std::uint64_t operand, int in_chunk, int half,
                                               const std::uint32_t (&operands)[2][4], Half& group_sums, bool opens) {
    LOWBIT_UNROLL
    for (int part = 0; part < 2; ++part) {
      const int words = (2 * in_chunk + part) * kOperandWords + half * kHalfTiles * kTileTokens * 4;
      thread.multiply_group(Number{}, group_sums, operands[part], operand + static_cast<std::uint64_t>(words / 4),
                            part == 1 || !opens);
    }
  }
};

}  // namespace lowbit::kernels::cuda
