#pragma once

#include "kernels/cuda/hopper_bytes_input.h"
#include "kernels/cuda/hopper_stream.h"
#include "kernels/cuda/integer.h"

// `Arithmetic::kInt8` from `kHopperBytesFrom` tokens (route.h) on Hopper, for matrices whose rows have one scale each,
// with the CPU's bits. The packed codes are the instruction's left operand as they are: unsigned bytes, from registers.
namespace lowbit::kernels::cuda {

template <int kTheBits, int kTheTokenTiles>
class HopperBytes {
 public:
  using Call = IntegerProduct;
  using Sum = std::int32_t;
  static constexpr int kBits = kTheBits;
  static constexpr int kTokenTiles = kTheTokenTiles;
  static constexpr bool kParameters = false;
  static constexpr int kTokens = kTokenTiles * kTileTokens;
  static constexpr int kClusterBlocks = kTokenTiles <= 8 ? 1 : 2;
  static constexpr int kStages = kTokenTiles == 32 ? 4 : 6;
  static constexpr int kStagesOfChunk = 1;
  static constexpr int kStageWords = kTokens * kChunkSteps * kByteDepth / 4;
  static constexpr int kChunksAhead = kTokenTiles == 32 ? 4 : kTokenTiles == 16 ? 6 : 8;
  /// A token's scale, and the sum of its integers.
  static constexpr int kExtraWords = 2 * kTokens;
  using Weights = LaneRing<kBits, kChunksAhead, kParameters>;
  using Feed = RingFeed<Weights>;
  using Sums = std::int32_t[kTokenTiles][4];

  LOWBIT_HOST_DEVICE static const std::uint32_t* operands(const IntegerProduct& call) {
    return reinterpret_cast<const std::uint32_t*>(call.bytes);
  }

  // A chunk's products run while the next one's codes are read, and its stage is free when those behind it run.
  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add(Thread& thread, const Matrix&, Feed& feed, const Segment& segment,
                                     typename Input::Place& place, Sums& sums) {
    Operands operands[2];
    multiply_chunk<Input>(thread, feed, place, operands[0], sums);
    LOWBIT_NO_UNROLL
    for (int left = segment.count - 1; left > 1; left -= 2) {
      multiply_behind<Input>(thread, feed, place, operands[1], sums);
      multiply_behind<Input>(thread, feed, place, operands[0], sums);
    }
    if (segment.count % 2 == 0) multiply_behind<Input>(thread, feed, place, operands[1], sums);
    thread.template wait_group_products<0>();
    Input::release(thread, place.stage);
    place.advance();
  }

  // As `Integer` does: y = scale of the token times fma(sum - zero sum of its integers, scale of the row, 0).
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void store(Thread& thread, const IntegerProduct& call, int row, int token, int at,
                                       const Sums& sums) {
    const Matrix& weight = call.weight;
    const int scales_at = at + kTurnedWords;
    const int sums_at = scales_at + kTokens;
    put_token_numbers(thread, call, token, scales_at, sums_at);
    const int own_row = row + thread.index() % 4 * 4;
    float scales[4] = {};
    std::int32_t zeros[4] = {};
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (own_row + i >= weight.rows) continue;
      const int place = (own_row + i) / kTileRows * kTileRows + scale_place((own_row + i) % kTileRows);
      scales[i] = scale_of(weight, place);
      zeros[i] = zero_of(weight, place);
    }
    auto token_scales = thread.template shared<float>();
    auto token_sums = thread.template shared<std::int32_t>();
    turn_sums(thread, at, sums, [&](int in_tile, const Word4& words) {
      if (token + in_tile >= call.tokens) return;
      const std::int32_t sum = token_sums.load(sums_at + in_tile);
      const float scale = token_scales.load(scales_at + in_tile);
      float y[4];
      LOWBIT_UNROLL
      for (int i = 0; i < 4; ++i) {
        const std::int32_t total = static_cast<std::int32_t>(words.x[i]) - zeros[i] * sum;
        y[i] = fused(static_cast<float>(total), scales[i], 0.0F) * scale;
      }
      store_four(call.output, token + in_tile, own_row, weight.rows, y);
    });
  }

 private:
  /// A chunk's left operands.
  using Operands = std::uint32_t[kChunkSteps][4];

  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_behind(Thread& thread, Feed& feed, typename Input::Place& place,
                                                 Operands& operands, Sums& sums) {
    const int before = place.stage;
    place.advance();
    multiply_chunk<Input>(thread, feed, place, operands, sums);
    thread.template wait_group_products<1>();
    Input::release(thread, before);
  }

  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_chunk(Thread& thread, Feed& feed, const typename Input::Place& place,
                                                Operands& operands, Sums& sums) {
    Weights::template wait<kChunksAhead - 1>(thread);
    const Codes<kBits> codes = feed.ring().codes(thread);
    feed.ring().step();
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      LOWBIT_UNROLL
      for (int reg = 0; reg < 4; ++reg) operands[s][reg] = code_bytes<kBits>(codes, s, reg);
    }
    Input::wait(thread, place);
    const StageOperand<Input, kTokens> operand(thread, place.stage);
    thread.begin_group_products();
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      thread.multiply_group_bytes(sums, operands[s], operand.behind(s * kTokens * kByteDepth / 16));
    }
    thread.commit_group_products();
    feed.next(thread);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void put_token_numbers(Thread& thread, const IntegerProduct& call, int token, int scales_at,
                                                   int sums_at) {
    auto scales = thread.template shared<float>();
    auto sums = thread.template shared<std::int32_t>();
    thread.sync_warp();  // everybody has read those of the tile before
    LOWBIT_UNROLL
    for (int n = 0; n < kTokens / kLanes; ++n) {
      const int in_tile = n * kLanes + thread.index() % kLanes;
      const bool present = token + in_tile < call.tokens;
      scales.store(scales_at + in_tile, present ? call.scales[token + in_tile] : 0.0F);
      sums.store(sums_at + in_tile, present ? call.sums[token + in_tile] : 0);
    }
    thread.sync_warp();
  }
};

}  // namespace lowbit::kernels::cuda
