#pragma once

#include "kernels/cuda/group_store.h"
#include "kernels/cuda/hopper_bytes_input.h"
#include "kernels/cuda/hopper_stream.h"
#include "kernels/cuda/integer.h"

// `Arithmetic::kInt8` from `kHopperBytesFrom` tokens (route.h) on Hopper, for matrices whose rows have one scale each,
// with the CPU's bits. The packed codes are the instruction's left operand as they are: unsigned bytes, from registers.
namespace lowbit::kernels::cuda {

/// `kTheLag`: as `Maker::kLag` (hopper_stream.h). Stages are then half as large, so that the second group lags behind
/// by less than all of them, and outputs go by lines.
template <int kTheBits, int kTheTokenTiles, int kTheLag = 0>
class HopperBytes {
 public:
  using Call = IntegerProduct;
  using Sum = std::int32_t;
  static constexpr int kBits = kTheBits;
  static constexpr int kTokenTiles = kTheTokenTiles;
  static constexpr int kLag = kTheLag;
  static constexpr bool kParameters = false;
  static constexpr int kTokens = kTokenTiles * kTileTokens;
  static constexpr int kClusterBlocks = kTokenTiles <= 8 ? 1 : 2;
  static constexpr int kStagesOfChunk = kLag > 0 ? 2 : 1;
  static constexpr int kStages = (kTokenTiles == 32 ? 4 : 6) * kStagesOfChunk;
  static constexpr int kUnitSteps = kChunkSteps / kStagesOfChunk;
  static constexpr int kStageWords = kTokens * kUnitSteps * kByteDepth / 4;
  static constexpr int kChunksAhead = kTokenTiles == 32 ? 4 : kTokenTiles == 16 ? 6 : 8;
  /// Of a warp, or of a group: each token's scale, and the sum of its integers.
  static constexpr int kTokenNumbers = 2 * kTokens;
  static constexpr int kStoreWords = kLag > 0 ? StorePanel::kWords + kTokenNumbers
                                              : kGroupTurnedWords + (kGroupWarps * kTokenNumbers);
  using Weights = LaneRing<kBits, kChunksAhead, kParameters>;
  using Feed = RingFeed<Weights>;
  using Sums = std::int32_t[kTokenTiles][4];

  /// What a lane brings to the output: its rows' numbers, and those of two tokens for the group. They are asked for
  /// before the products.
  struct LaneNumbers {
    RowBias bias;
    float scales[2];
    std::int32_t zeros[2];
    float token_scales[2];
    std::int32_t token_sums[2];
  };
  using Numbers = std::conditional_t<(kLag > 0), LaneNumbers, NoNumbers>;

  LOWBIT_HOST_DEVICE static const std::uint32_t* operands(const IntegerProduct& call) {
    return reinterpret_cast<const std::uint32_t*>(call.bytes);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static Numbers begin(Thread& thread, const IntegerProduct& call, int row, int token) {
    Numbers result = {};
    if constexpr (kLag > 0) {
      const Matrix& weight = call.weight;
      result.bias = RowBias::load(thread, call.output, row, weight.rows);
      LOWBIT_UNROLL
      for (int i = 0; i < 2; ++i) {
        const int own_row = row + thread.index() % kLanes / 4 + 8 * i;
        if (own_row < weight.rows) {
          result.scales[i] = scale_of(weight, scale_place_of_row(own_row));
          result.zeros[i] = zero_of(weight, scale_place_of_row(own_row));
        }
        const int own_token = token + own_tokens(thread) + i;
        if (own_token >= call.tokens) continue;
        result.token_scales[i] = float_from_bits(thread.read4(call.scales + own_token));
        result.token_sums[i] = static_cast<std::int32_t>(thread.read4(call.sums + own_token));
      }
    }
    return result;
  }

  // A unit's products, those of a stage, run while the next one's codes are read, and its stage is free when those
  // behind it run.
  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add(Thread& thread, const Matrix&, Feed& feed, const Segment& segment,
                                     typename Input::Place& place, Sums& sums) {
    Operands operands[2];
    multiply_unit<Input, 0>(thread, feed, place, operands[0], sums);
    const int units = segment.count * kStagesOfChunk;
    LOWBIT_NO_UNROLL
    for (int left = units - 1; left > 1; left -= 2) {
      multiply_behind<Input, 1>(thread, feed, place, operands[1], sums);
      multiply_behind<Input, 0>(thread, feed, place, operands[0], sums);
    }
    if (units % 2 == 0) multiply_behind<Input, 1>(thread, feed, place, operands[1], sums);
    thread.template wait_group_products<0>();
    Input::release(thread, place.stage);
    place.advance();
  }

  // As `Integer` does: y = scale of the token times fma(sum - zero sum of its integers, scale of the row, 0).
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void store(Thread& thread, const IntegerProduct& call, int row, int token, int at,
                                       const Numbers& numbers, const Sums& sums) {
    if constexpr (kLag > 0) {
      const int numbers_at = at + StorePanel::kWords;
      share_token_numbers(thread, numbers, numbers_at);
      const int warp = thread.index() / kLanes % kGroupWarps;
      if (!stores_by_lines(call.output, call.weight.rows)) {
        thread.sync_group();
        store_turned(thread, call, row, token, turned_at(thread, at), numbers_at, sums);
        return thread.sync_group();  // the next tile's numbers replace these
      }
      auto scales = thread.template shared<std::uint32_t>();
      const int own_numbers_at = numbers_at + thread.index() % 4 * 2;
      const StorePlace place = {row - warp * kTileRows, call.weight.rows, token, call.tokens, at};
      store_by_lines<kTokenTiles>(thread, call.output, place, [&](int n, float(&y)[4]) {
        const Word2 token_scales = scales.load8(own_numbers_at + n * kTileTokens);
        const Word2 token_sums = scales.load8(own_numbers_at + kTokens + n * kTileTokens);
        LOWBIT_UNROLL
        for (int e = 0; e < 4; ++e) {
          const auto sum_of_token = static_cast<std::int32_t>(token_sums.x[e % 2]);
          const float scaled = output_of(sums[n][e], numbers.zeros[e / 2], sum_of_token, numbers.scales[e / 2],
                                         float_from_bits(token_scales.x[e % 2]));
          y[e] = numbers.bias.add(e / 2, scaled);
        }
      });
    } else {
      const int numbers_at = at + kGroupTurnedWords + thread.index() / kLanes % kGroupWarps * kTokenNumbers;
      put_token_numbers(thread, call, token, numbers_at);
      store_turned(thread, call, row, token, turned_at(thread, at), numbers_at, sums);
    }
  }

 private:
  /// A unit's left operands.
  using Operands = std::uint32_t[kUnitSteps][4];

  LOWBIT_HOST_DEVICE static float output_of(std::int32_t sum, std::int32_t zero, std::int32_t sum_of_token, float scale,
                                            float token_scale) {
    return fused(static_cast<float>(sum - zero * sum_of_token), scale, 0.0F) * token_scale;
  }

  template <typename Input, int kSlot, typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_behind(Thread& thread, Feed& feed, typename Input::Place& place,
                                                 Operands& operands, Sums& sums) {
    const int before = place.stage;
    place.advance();
    multiply_unit<Input, kSlot % kStagesOfChunk>(thread, feed, place, operands, sums);
    thread.template wait_group_products<1>();
    Input::release(thread, before);
  }

  // Number kUnit of a chunk.
  template <typename Input, int kUnit, typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_unit(Thread& thread, Feed& feed, const typename Input::Place& place,
                                               Operands& operands, Sums& sums) {
    if constexpr (kUnit == 0) Weights::template wait<kChunksAhead - 1>(thread);
    const Codes<kBits> codes = feed.ring().codes(thread);
    if constexpr (kUnit + 1 == kStagesOfChunk) feed.ring().step();
    LOWBIT_UNROLL
    for (int s = 0; s < kUnitSteps; ++s) {
      LOWBIT_UNROLL
      for (int reg = 0; reg < 4; ++reg) operands[s][reg] = code_bytes<kBits>(codes, kUnit * kUnitSteps + s, reg);
    }
    Input::wait(thread, place);
    const StageOperand<Input, kTokens> operand(thread, place.stage);
    thread.begin_group_products();
    LOWBIT_UNROLL
    for (int s = 0; s < kUnitSteps; ++s) {
      thread.multiply_group_bytes(sums, operands[s], operand.behind(s * kTokens * kByteDepth / 16));
    }
    thread.commit_group_products();
    if constexpr (kUnit + 1 == kStagesOfChunk) feed.next(thread);
  }

  // A lane has four rows side by side of a token at a time. At `numbers_at` the tokens' scales lie, and then their
  // sums.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void store_turned(Thread& thread, const IntegerProduct& call, int row, int token, int at,
                                              int numbers_at, const Sums& sums) {
    const Matrix& weight = call.weight;
    const int own_row = row + thread.index() % 4 * 4;
    float scales[4] = {};
    std::int32_t zeros[4] = {};
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (own_row + i >= weight.rows) continue;
      scales[i] = scale_of(weight, scale_place_of_row(own_row + i));
      zeros[i] = zero_of(weight, scale_place_of_row(own_row + i));
    }
    auto token_scales = thread.template shared<float>();
    auto token_sums = thread.template shared<std::int32_t>();
    turn_sums(thread, at, sums, [&](int in_tile, const Word4& words) {
      if (token + in_tile >= call.tokens) return;
      const std::int32_t sum = token_sums.load(numbers_at + kTokens + in_tile);
      const float scale = token_scales.load(numbers_at + in_tile);
      float y[4];
      LOWBIT_UNROLL
      for (int i = 0; i < 4; ++i) {
        y[i] = output_of(static_cast<std::int32_t>(words.x[i]), zeros[i], sum, scales[i], scale);
      }
      store_four(call.output, token + in_tile, own_row, weight.rows, y);
    });
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static int own_tokens(Thread& thread) {
    static_assert(kLag == 0 || kTokens == 2 * kGroupWarps * kLanes, "each lane of a group has two tokens");
    return thread.index() % (kGroupWarps * kLanes) * 2;
  }
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void share_token_numbers(Thread& thread, const LaneNumbers& numbers, int numbers_at) {
    auto scales = thread.template shared<float>();
    auto sums = thread.template shared<std::int32_t>();
    LOWBIT_UNROLL
    for (int i = 0; i < 2; ++i) {
      scales.store(numbers_at + own_tokens(thread) + i, numbers.token_scales[i]);
      sums.store(numbers_at + kTokens + own_tokens(thread) + i, numbers.token_sums[i]);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void put_token_numbers(Thread& thread, const IntegerProduct& call, int token,
                                                   int numbers_at) {
    auto scales = thread.template shared<float>();
    auto sums = thread.template shared<std::int32_t>();
    thread.sync_warp();  // everybody has read those of the tile before
    LOWBIT_UNROLL
    for (int n = 0; n < kTokens / kLanes; ++n) {
      const int in_tile = n * kLanes + thread.index() % kLanes;
      const bool present = token + in_tile < call.tokens;
      scales.store(numbers_at + in_tile, present ? call.scales[token + in_tile] : 0.0F);
      sums.store(numbers_at + kTokens + in_tile, present ? call.sums[token + in_tile] : 0);
    }
    thread.sync_warp();
  }
};

}  // namespace lowbit::kernels::cuda
