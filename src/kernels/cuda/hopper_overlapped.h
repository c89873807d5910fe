#pragma once

#include "kernels/cuda/block_sums.h"
#include "kernels/cuda/group_step.h"
#include "kernels/cuda/lane_ring.h"
#include "kernels/cuda/operand_ring.h"
#include "kernels/cuda/splits.h"

// Products of 16 tokens and more on Hopper (sm_90a), whose weights are decoded while products of earlier ones run. One
// warp copies activations, laid out as hopper_input.h says; two groups of four warps take 64 rows each, bring their
// weights in themselves, and decode them into the registers of the left operand.
namespace lowbit::kernels::cuda {

/// An output's sum: for each group that a chunk of columns holds, in order, f = fma(sum of x (code - zero), scale, f),
/// as `Hopper`'s; splits take chunks side by side, and are added in order.
template <int kBits, typename Number, int kTokenTiles>
class HopperOverlapped {
 public:
  static constexpr int kGroups = 2;
  static constexpr int kConsumerWarps = 4 * kGroups;
  /// Consumers need more registers than each of so many threads can have: the producer's warp has three beside it that
  /// do nothing but give theirs away, since registers move by groups of four warps.
  static constexpr int kThreads = (kConsumerWarps + 4) * kLanes;
  static constexpr int kProducerRegisters = 24;
  static constexpr int kConsumerRegisters = 240;
  static constexpr int kBlockTiles = kConsumerWarps;
  static constexpr int kTokens = kTokenTiles * kTileTokens;
  static constexpr int kResidentBlocks = 1;
  /// With 128 tokens a block reads four times as many activations as weights: two blocks share them.
  static constexpr int kClusterBlocks = kTokenTiles <= 8 ? 1 : 2;
  static constexpr int kStages = kTokenTiles == 16 ? 4 : kTokenTiles == 8 ? 6 : 8;
  /// Weights come from memory, whose answer takes twice as long as that of the cache.
  static constexpr int kChunksAhead = 8;
  static constexpr int kOperandWords = kTokens * kOperandDepth / 2;
  using Weights = LaneRing<kBits, kChunksAhead, true>;
  using Input = OperandRing<kConsumerWarps * Weights::kWords, kStages, kChunkOperands * kOperandWords, kConsumerWarps,
                            kClusterBlocks>;
  using Outputs = BlockSums<kConsumerWarps, kTokenTiles>;
  static_assert(Outputs::kWords <= Input::kBarriersAt, "outputs take the place of weights and stages");
  static constexpr int kFlagAt = Input::kEnd;
  static constexpr int kSharedWords = kFlagAt + 4;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const HalfProduct& call) {
    const HopperOverlapped block(thread, call);
    thread.allow_next_grid();
    Input::prepare(thread);
    if (thread.warp() >= kConsumerWarps) {
      thread.template give_registers<kProducerRegisters>();
      if (thread.warp() == kConsumerWarps) block.produce(thread, call);
      for (int i = 0; i < (call.splits > 1 ? 4 : 2); ++i) thread.sync();  // those of the others
      Input::leave(thread);
    } else {
      thread.template take_registers<kConsumerRegisters>();
      block.consume(thread, call);
      if (call.splits > 1) {
        finish_splits(
            thread, call,
            {block.tile_ * kTileRows, kBlockTiles * kTileRows, block.token_, kTokens, kConsumerWarps * kLanes},
            kFlagAt);
      }
      Input::leave(thread);
    }
  }

 private:
  /// Steps that are decoded together, while those before them are multiplied.
  static constexpr int kUnitSteps = kChunkSteps / 2;
  using Unit = std::uint32_t[kUnitSteps][2][4];
  /// Sums of 64 tokens at most are made together.
  static constexpr int kHalves = kTokenTiles == 16 ? 2 : 1;
  static constexpr int kHalfTiles = kTokenTiles / kHalves;
  using Half = float[kHalfTiles][4];

  template <typename Thread>
  LOWBIT_HOST_DEVICE HopperOverlapped(Thread& thread, const HalfProduct& call)
      : tile_(thread.block(0) * kBlockTiles), token_(thread.block(2) * kTokens) {
    const int chunks = chunks_of(call.weight);
    first_ = static_cast<int>(std::int64_t{chunks} * thread.block(1) / call.splits);
    count_ = static_cast<int>(std::int64_t{chunks} * (thread.block(1) + 1) / call.splits) - first_;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void produce(Thread& thread, const HalfProduct& call) const {
    thread.wait_for_previous_grid();
    const std::int64_t chunk = std::int64_t{thread.block(2)} * chunks_of(call.weight) + first_;
    Input::produce(thread, reinterpret_cast<const std::uint32_t*>(call.input) + chunk * kChunkOperands * kOperandWords,
                   count_);
  }

  // The first weights are on their way before the grid in front has ended.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void consume(Thread& thread, const HalfProduct& call) const {
    const int warp = thread.warp();
    const Weights weights(call.weight, tile_ + warp, thread.index() % kLanes, warp * Weights::kWords);
    for (int i = 0; i < kChunksAhead; ++i) start(thread, weights, i);
    thread.wait_for_previous_grid();  // before the outputs: the grid in front may read what they replace
    Half sums[kHalves] = {};
    if (call.weight.group_steps % kChunkSteps != 0) {
      add_steps(thread, call.weight, weights, sums);
    } else if (count_ > 0) {
      if constexpr (kHalves == 2) {
        add_by_halves(thread, call.weight, weights, sums);
      } else {
        add_by_turns(thread, call.weight, weights, sums[0]);
      }
    }
    store(thread, call, sums);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void store(Thread& thread, const HalfProduct& call, const Half (&sums)[kHalves]) const {
    thread.template wait_copies<0>();
    thread.sync();  // everybody has read the last stages
    LOWBIT_UNROLL
    for (int half = 0; half < kHalves; ++half) Outputs::put(thread, half * kHalfTiles, sums[half]);
    thread.sync();
    Outputs::each(thread, call.tokens - token_, [&](int token, const Word4& words) {
      const float numbers[4] = {float_from_bits(words.x[0]), float_from_bits(words.x[1]), float_from_bits(words.x[2]),
                                float_from_bits(words.x[3])};
      deliver_four(thread, call, token_ + token, tile_ * kTileRows + Outputs::row_of(thread), numbers);
    });
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void start(Thread& thread, const Weights& weights, int i) const {
    weights.start(thread, first_ + i, i, i < count_);
  }

  /// What comes from one chunk to the next: the first half of it, decoded, its codes, and the parameters of two chunks.
  struct Ahead {
    Unit units[2];
    Codes<kBits> codes;
    Parameters parameters[2];
  };

  // Chunks of one group each; steps that the last one lacks are zero, since their activations are. Two chunks' sums
  // take turns: those of one meet their scale while products of the next run.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_by_turns(Thread& thread, const Matrix& weight, const Weights& weights, Half& sums) const {
    Half turns[2];
    Ahead ahead;
    Weights::template wait<kChunksAhead - 1>(thread);
    read_ahead<0>(thread, weights, 0, ahead);
    Input::wait(thread, 0);
    multiply_unit(thread, stage_operand(thread, 0), 0, 0, ahead.units[0], turns[0], true);
    end_turn<0>(thread, weights, 0, ahead, turns);
    int i = 1;
    for (; i + 1 < count_; i += 2) {
      take_turn<1>(thread, weight, weights, i, ahead, turns, sums);
      take_turn<0>(thread, weight, weights, i + 1, ahead, turns, sums);
    }
    if (i < count_) {
      take_turn<1>(thread, weight, weights, i, ahead, turns, sums);
      thread.template wait_group_products<0>();
      add_scaled(weight, ahead.parameters[1], turns[1], sums);
    } else {
      thread.template wait_group_products<0>();
      add_scaled(weight, ahead.parameters[0], turns[0], sums);
    }
    Input::release(thread, count_ - 1);
  }

  template <int kTurn, typename Thread>
  LOWBIT_HOST_DEVICE void take_turn(Thread& thread, const Matrix& weight, const Weights& weights, int i, Ahead& ahead,
                                    Half (&turns)[2], Half& sums) const {
    Input::wait(thread, i);
    multiply_unit(thread, stage_operand(thread, i), 0, 0, ahead.units[0], turns[kTurn], true);
    thread.template wait_group_products<1>();  // the chunk in front is done
    Input::release(thread, i - 1);
    add_scaled(weight, ahead.parameters[1 - kTurn], turns[1 - kTurn], sums);
    end_turn<kTurn>(thread, weights, i, ahead, turns);
  }

  // Behind the products of the chunk's first half.
  template <int kTurn, typename Thread>
  LOWBIT_HOST_DEVICE void end_turn(Thread& thread, const Weights& weights, int i, Ahead& ahead,
                                   Half (&turns)[2]) const {
    decode_unit(thread, ahead.codes, ahead.parameters[kTurn], 1, ahead.units[1]);
    multiply_unit(thread, stage_operand(thread, i), 1, 0, ahead.units[1], turns[kTurn], false);
    thread.sync_warp();  // all lanes have read the chunk's parameters
    start(thread, weights, i + kChunksAhead);
    Weights::template wait<kChunksAhead - 1>(thread);
    thread.template wait_group_products<1>();  // so that the first half's operands may be replaced
    read_ahead<1 - kTurn>(thread, weights, i + 1, ahead);
  }

  template <int kTurn, typename Thread>
  LOWBIT_HOST_DEVICE void read_ahead(Thread& thread, const Weights& weights, int i, Ahead& ahead) const {
    ahead.codes = weights.codes(thread, i);
    ahead.parameters[kTurn] = weights.parameters(thread, i, 0);
    decode_unit(thread, ahead.codes, ahead.parameters[kTurn], 0, ahead.units[0]);
  }

  // The same for twice as many tokens, where registers do not suffice for the sums of two chunks: the two halves of the
  // tokens take turns, so that one's products run while the other's sums meet their scale.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_by_halves(Thread& thread, const Matrix& weight, const Weights& weights,
                                        Half (&sums)[kHalves]) const {
    Half halves[2];
    Ahead ahead;
    Weights::template wait<kChunksAhead - 1>(thread);
    read_ahead<0>(thread, weights, 0, ahead);
    Input::wait(thread, 0);
    std::uint64_t operand = stage_operand(thread, 0);
    multiply_unit(thread, operand, 0, 0, ahead.units[0], halves[0], true);
    multiply_unit(thread, operand, 0, 1, ahead.units[0], halves[1], true);
    for (int i = 0; i + 1 < count_; ++i) {
      multiply_second_unit(thread, operand, ahead, halves);
      Weights::template wait<kChunksAhead - 2>(thread);
      thread.template wait_group_products<2>();  // so that the first half's operands may be replaced
      const Parameters parameters = ahead.parameters[0];
      read_ahead<0>(thread, weights, i + 1, ahead);
      Input::wait(thread, i + 1);
      operand = stage_operand(thread, i + 1);
      thread.template wait_group_products<1>();
      add_scaled(weight, parameters, halves[0], sums[0]);
      multiply_unit(thread, operand, 0, 0, ahead.units[0], halves[0], true);
      thread.template wait_group_products<1>();
      Input::release(thread, i);
      add_scaled(weight, parameters, halves[1], sums[1]);
      multiply_unit(thread, operand, 0, 1, ahead.units[0], halves[1], true);
      start(thread, weights, i + kChunksAhead);
    }
    multiply_second_unit(thread, operand, ahead, halves);
    thread.template wait_group_products<0>();
    Input::release(thread, count_ - 1);
    for (int half = 0; half < 2; ++half) add_scaled(weight, ahead.parameters[0], halves[half], sums[half]);
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
  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_steps(Thread& thread, const Matrix& weight, const Weights& weights,
                                    Half (&sums)[kHalves]) const {
    for (int i = 0; i < count_; ++i) {
      Weights::template wait<kChunksAhead - 1>(thread);
      Input::wait(thread, i);
      add_steps_of_chunk(thread, weight, weights, i, sums);
      Input::release(thread, i);
      start(thread, weights, i + kChunksAhead);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_steps_of_chunk(Thread& thread, const Matrix& weight, const Weights& weights, int i,
                                             Half (&sums)[kHalves]) const {
    const Codes<kBits> codes = weights.codes(thread, i);
    const int first_step = (first_ + i) * kChunkSteps;
    const int steps = weight.steps - first_step < kChunkSteps ? weight.steps - first_step : kChunkSteps;
    GroupCursor cursor(weight, first_step);
    const int first_group = cursor.group;
    Parameters parameters = weights.parameters(thread, i, 0);
    const std::uint64_t operand = stage_operand(thread, i);
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
        next = weights.parameters(thread, i, cursor.group - first_group);
        decode_operands<kBits, Number>(thread, codes, next, s + 1, operands[(s + 1) % 2]);
      }
      thread.template wait_group_products<0>();
      if (opens || s + 1 == steps) {
        LOWBIT_UNROLL
        for (int half = 0; half < kHalves; ++half) add_scaled(weight, parameters, group_sums[half], sums[half]);
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

  /// Of all tokens and the first depth of a stage; others are so many units of 16 bytes behind it.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static std::uint64_t stage_operand(Thread& thread, int i) {
    constexpr std::uint32_t kTokenBytes = 128;
    return operand_descriptor(thread.shared_address(Input::stage_at(i)), kTokens / 8 * kTokenBytes, kTokenBytes);
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

  int tile_;
  int token_;
  int first_ = 0;  ///< of the chunks
  int count_ = 0;
};

}  // namespace lowbit::kernels::cuda
