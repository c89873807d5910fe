#pragma once

#include "kernels/cuda/group_step.h"
#include "kernels/cuda/hopper_stream.h"

// Products of many 16-bit activations on Hopper, whose weights are rounded to 16 bits as `Expand` rounds them: sums then
// need no room beside those of groups, so that a block makes 256 tokens and decodes a weight half as often.
namespace lowbit::kernels::cuda {

/// An output's sum: of x w over all columns in order, in float32, w being scale (code - zero) rounded once; shares of the
/// columns are added in order.
template <int kTheBits, typename Number>
class HopperRounded {
 public:
  using Call = HalfProduct;
  using Sum = float;
  static constexpr int kBits = kTheBits;
  static constexpr int kTokenTiles = 32;
  static constexpr bool kParameters = true;
  static constexpr int kTokens = kTokenTiles * kTileTokens;
  static constexpr int kClusterBlocks = 2;
  static constexpr int kStages = 4;
  /// A stage is half a chunk: 32 KB.
  static constexpr int kStagesOfChunk = 2;
  static constexpr int kUnitSteps = kChunkSteps / kStagesOfChunk;
  static constexpr int kOperandWords = kTokens * kOperandDepth / 2;
  static constexpr int kStageWords = kChunkOperands / kStagesOfChunk * kOperandWords;
  static constexpr int kChunksAhead = 6;
  static constexpr int kExtraWords = 0;
  using Weights = LaneRing<kBits, kChunksAhead, kParameters>;
  using Feed = RingFeed<Weights>;
  using Sums = float[kTokenTiles][4];

  LOWBIT_HOST_DEVICE static const std::uint32_t* operands(const HalfProduct& call) {
    return reinterpret_cast<const std::uint32_t*>(call.input);
  }

  // Half a chunk is decoded while the products of the other half run; its registers are free when the products of the
  // chunk before are done.
  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add(Thread& thread, const Matrix& weight, Feed& feed, const Segment& segment,
                                     int i, Sums& sums) {
    Unit units[2];
    Weights::template wait<kChunksAhead - 1>(thread);
    Codes<kBits> codes = feed.ring().codes(thread, i);
    decode_unit(thread, weight, feed, codes, i, segment.first, 0, units[0]);
    multiply_unit<Input>(thread, 2 * i, units[0], sums);
    const int end = i + segment.count;
    int chunk = segment.first;
    LOWBIT_NO_UNROLL
    for (;;) {
      decode_unit(thread, weight, feed, codes, i, chunk, 1, units[1]);
      multiply_unit<Input>(thread, 2 * i + 1, units[1], sums);
      thread.sync_warp();  // all lanes have read the chunk's parameters
      feed.next(thread);
      Weights::template wait<kChunksAhead - 1>(thread);
      codes = feed.ring().codes(thread, i + 1);
      thread.template wait_group_products<1>();
      Input::release(thread, 2 * i);
      ++chunk;
      if (++i == end) break;
      decode_unit(thread, weight, feed, codes, i, chunk, 0, units[0]);
      multiply_unit<Input>(thread, 2 * i, units[0], sums);
      thread.template wait_group_products<1>();
      Input::release(thread, 2 * i - 1);
    }
    thread.template wait_group_products<0>();
    Input::release(thread, 2 * end - 1);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void store(Thread& thread, const HalfProduct& call, int row, int token, int at,
                                       const Sums& sums) {
    store_sums(thread, call, row, token, at, sums);
  }

 private:
  using Unit = std::uint32_t[kUnitSteps][2][4];

  // Steps behind the last one meet activations that are zero.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void decode_unit(Thread& thread, const Matrix& weight, const Feed& feed,
                                             const Codes<kBits>& codes, int i, int chunk, int unit, Unit& operands) {
    if (weight.group_steps % kChunkSteps == 0) {
      const Parameters parameters = feed.ring().parameters(thread, i, 0);
      const float scales[2] = {parameters.scale(weight.scale_kind, 0), parameters.scale(weight.scale_kind, 1)};
      LOWBIT_UNROLL
      for (int s = 0; s < kUnitSteps; ++s) {
        decode_scaled<kBits, Number>(thread, codes, parameters, scales, unit * kUnitSteps + s, operands[s]);
      }
      return;
    }
    const int first_group = chunk * kChunkSteps / weight.group_steps;
    const int last = weight.steps - 1;
    LOWBIT_UNROLL
    for (int s = 0; s < kUnitSteps; ++s) {
      const int step = chunk * kChunkSteps + unit * kUnitSteps + s;
      const int group = (step < last ? step : last) / weight.group_steps - first_group;
      const Parameters parameters = feed.ring().parameters(thread, i, group);
      const float scales[2] = {parameters.scale(weight.scale_kind, 0), parameters.scale(weight.scale_kind, 1)};
      decode_scaled<kBits, Number>(thread, codes, parameters, scales, unit * kUnitSteps + s, operands[s]);
    }
  }

  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_unit(Thread& thread, int stage, const Unit& operands, Sums& sums) {
    Input::wait(thread, stage);
    const std::uint64_t right = stage_operand<Input, kTokens>(thread, stage);
    thread.begin_group_products();
    LOWBIT_UNROLL
    for (int s = 0; s < kUnitSteps; ++s) {
      LOWBIT_UNROLL
      for (int part = 0; part < 2; ++part) {
        thread.multiply_group(Number{}, sums, operands[s][part],
                              right + static_cast<std::uint64_t>((2 * s + part) * kOperandWords / 4), true);
      }
    }
    thread.commit_group_products();
  }
};

}  // namespace lowbit::kernels::cuda
