#pragma once

#include "kernels/cuda/group_step.h"
#include "kernels/cuda/hopper_stream.h"

// Sums of 16-bit activations on Hopper that stay exact up to float32: a group's products are added by the matrix unit,
// and meet their scale in float32 while products of the next ones run.
namespace lowbit::kernels::cuda {

/// Half chunks: their weights decoded into registers, and multiplied by the activations of a stage. The sums of
/// kTokenTiles / kHalves tiles of tokens are made together.
template <int kBits, typename Number, int kTokenTiles, int kHalves>
struct HalfChunks {
  static constexpr int kOperandWords = kTokenTiles * kTileTokens * kOperandDepth / 2;
  /// Steps that are decoded together, while those before them are multiplied.
  static constexpr int kUnitSteps = kChunkSteps / 2;
  static constexpr int kHalfTiles = kTokenTiles / kHalves;
  using Unit = std::uint32_t[kUnitSteps][2][4];
  using Half = float[kHalfTiles][4];

  /// What comes from one chunk to the next: the first half of it, decoded, its codes, and the numbers of two groups.
  struct Ahead {
    Unit units[2];
    Codes<kBits> codes;
    GroupNumbers groups[2];
  };

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void decode_unit(Thread& thread, const Codes<kBits>& codes, const GroupNumbers& group,
                                             int unit, Unit& operands) {
    LOWBIT_UNROLL
    for (int s = 0; s < kUnitSteps; ++s) {
      decode_operands<kBits, Number>(thread, codes, group, unit * kUnitSteps + s, operands[s]);
    }
  }

  template <typename Operand, typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_unit(Thread& thread, const Operand& operand, int unit, int half,
                                               const Unit& operands, Half& group_sums, bool opens) {
    thread.begin_group_products();
    LOWBIT_UNROLL
    for (int s = 0; s < kUnitSteps; ++s) {
      multiply_step(thread, operand, unit * kUnitSteps + s, half, operands[s], group_sums, opens && s == 0);
    }
    thread.commit_group_products();
  }

  /// The first product of a group begins its sums.
  template <typename Operand, typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_step(Thread& thread, const Operand& operand, int in_chunk, int half,
                                               const std::uint32_t (&operands)[2][4], Half& group_sums, bool opens) {
    LOWBIT_UNROLL
    for (int part = 0; part < 2; ++part) {
      const int words = (2 * in_chunk + part) * kOperandWords + half * kHalfTiles * kTileTokens * 4;
      thread.multiply_group(Number{}, group_sums, operands[part], operand.behind(words / 4), part == 1 || !opens);
    }
  }
};

/// Chunks of one group each; steps that the last one lacks are zero, since their activations are. Two chunks' sums take
/// turns: those of one meet their scale while products of the next run. `Feed` brings weights as `RingFeed` does.
template <int kBits, typename Number, int kTokenTiles, typename Feed>
class GroupTurns {
  using Units = HalfChunks<kBits, Number, kTokenTiles, 1>;
  using Half = typename Units::Half;
  using Ring = typename Feed::Ring;
  static constexpr int kTokens = kTokenTiles * kTileTokens;

 public:
  using Ahead = typename Units::Ahead;

  /// Before the first chunk.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void begin(Thread& thread, Feed& feed, Ahead& ahead) {
    Ring::template wait<Ring::kChunks - 1>(thread);
    read_ahead<0>(thread, feed, ahead);
  }

  /// The next `count` chunks; then `ahead` holds the one behind them.
  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add(Thread& thread, Feed& feed, int count, typename Input::Place& place, Ahead& ahead,
                                     Half& sums) {
    Half turns[2];
    Input::wait(thread, place);
    const StageOperand<Input, kTokens> operand(thread, place.stage);
    Units::multiply_unit(thread, operand, 0, 0, ahead.units[0], turns[0], true);
    end_turn<0>(thread, feed, operand, ahead, turns);
    LOWBIT_NO_UNROLL
    for (int left = count - 1; left > 1; left -= 2) {
      take_turn<1, Input>(thread, feed, place, ahead, turns, sums);
      take_turn<0, Input>(thread, feed, place, ahead, turns, sums);
    }
    if (count % 2 == 0) {
      take_turn<1, Input>(thread, feed, place, ahead, turns, sums);
      thread.template wait_group_products<0>();
      add_scaled(ahead.groups[1].scales, turns[1], 0, sums);
    } else {
      thread.template wait_group_products<0>();
      add_scaled(ahead.groups[0].scales, turns[0], 0, sums);
      ahead.groups[0] = ahead.groups[1];
    }
    Input::release(thread, place.stage);
    place.advance();
  }

 private:
  template <int kTurn, typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void take_turn(Thread& thread, Feed& feed, typename Input::Place& place, Ahead& ahead,
                                           Half (&turns)[2], Half& sums) {
    const int before = place.stage;
    place.advance();
    Input::wait(thread, place);
    const StageOperand<Input, kTokens> operand(thread, place.stage);
    Units::multiply_unit(thread, operand, 0, 0, ahead.units[0], turns[kTurn], true);
    thread.template wait_group_products<1>();  // the chunk in front is done
    Input::release(thread, before);
    add_scaled(ahead.groups[1 - kTurn].scales, turns[1 - kTurn], 0, sums);
    end_turn<kTurn>(thread, feed, operand, ahead, turns);
  }

  // Behind the products of the chunk's first half.
  template <int kTurn, typename Operand, typename Thread>
  LOWBIT_HOST_DEVICE static void end_turn(Thread& thread, Feed& feed, const Operand& operand, Ahead& ahead,
                                          Half (&turns)[2]) {
    Units::decode_unit(thread, ahead.codes, ahead.groups[kTurn], 1, ahead.units[1]);
    Units::multiply_unit(thread, operand, 1, 0, ahead.units[1], turns[kTurn], false);
    thread.sync_warp();  // all lanes have read the chunk's parameters
    feed.next(thread);
    Ring::template wait<Ring::kChunks - 1>(thread);
    thread.template wait_group_products<1>();  // so that the first half's operands may be replaced
    feed.ring().step();
    read_ahead<1 - kTurn>(thread, feed, ahead);
  }

  template <int kTurn, typename Thread>
  LOWBIT_HOST_DEVICE static void read_ahead(Thread& thread, Feed& feed, Ahead& ahead) {
    ahead.codes = feed.ring().codes(thread);
    ahead.groups[kTurn] = feed.ring().numbers(thread, 0);
    Units::decode_unit(thread, ahead.codes, ahead.groups[kTurn], 0, ahead.units[0]);
  }
};

}  // namespace lowbit::kernels::cuda
