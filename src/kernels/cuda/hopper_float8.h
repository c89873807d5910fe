#pragma once

#include "kernels/cuda/half_sums.h"
#include "kernels/cuda/hopper_bytes_input.h"
#include "kernels/cuda/hopper_stream.h"
#include "kernels/cuda/scales.h"

// Activations rounded to E4M3 times weights of E4M3 with one scale a row, by Hopper's own products of such numbers. The
// packed codes are the instruction's left operand as they are, from registers.
namespace lowbit::kernels::cuda {

struct Float8Product {
  Matrix weight;              ///< of 8 bits, whose table is E4M3
  const std::uint8_t* codes;  ///< as RoundFloat8Call lays them out
  const float* scales;        ///< [tokens]
  std::int32_t tokens;
  Target output;
  // As `SharedTiles` has them.
  Stream stream = {};
  float* partials = nullptr;
  std::uint32_t* arrivals = nullptr;
};

/// y = scale of the token times (scale of the row times the sum of products).
///
/// The matrix unit adds up the 128 columns of a chunk, by four instructions; float32 sums take that up, and chunks
/// follow each other in order. Products of two E4M3 numbers are exact; an instruction's 32 of them and the sum so far
/// are assumed to lose less than 2^-13 of the largest of these 33 each (the unit aligns them to 14 bits, as
/// DeepSeek-V3's technical report found, section 3.3.2). A chunk is then off by at most 132 2^-13 of the sum of its
/// terms' magnitudes, whatever the number of columns. Sums of whole numbers below 2^13 are exact.
///
/// A block's tokens are multiplied in parts of 64: while a part's sums are taken up, the next one's products run.
template <int kTheTokenTiles>
class HopperFloat8 {
 public:
  using Call = Float8Product;
  using Sum = float;
  static constexpr int kBits = 8;
  static constexpr int kTokenTiles = kTheTokenTiles;
  static constexpr int kLag = 0;
  static constexpr bool kParameters = false;
  static constexpr int kTokens = kTokenTiles * kTileTokens;
  static constexpr int kClusterBlocks = kTokenTiles <= 8 ? 1 : 2;
  static constexpr int kStagesOfChunk = 1;
  static constexpr int kStages = kTokenTiles == 32 ? 4 : 6;
  static constexpr int kStageWords = kTokens * kChunkSteps * kByteDepth / 4;
  static constexpr int kChunksAhead = kTokenTiles == 32 ? 4 : kTokenTiles == 16 ? 6 : 8;
  /// Each warp has its tokens' scales behind what turns its sums.
  static constexpr int kStoreWords = kGroupTurnedWords + (kGroupWarps * kTokens);
  using Weights = LaneRing<kBits, kChunksAhead, kParameters>;
  using Feed = RingFeed<Weights>;
  using Sums = float[kTokenTiles][4];

  LOWBIT_HOST_DEVICE static const std::uint32_t* operands(const Float8Product& call) {
    return reinterpret_cast<const std::uint32_t*>(call.codes);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static NoNumbers begin(Thread&, const Float8Product&, int, int) {
    return {};
  }

  template <typename Input, typename Thread>
  LOWBIT_HOST_DEVICE static void add(Thread& thread, const Matrix&, Feed& feed, const Segment& segment,
                                     typename Input::Place& place, Sums& sums) {
    Part parts[2] = {};
    LOWBIT_NO_UNROLL
    for (int left = segment.count; left > 0; --left) {
      Weights::template wait<kChunksAhead - 1>(thread);
      const Codes<kBits> codes = feed.ring().codes(thread);
      feed.ring().step();
      Operands operands;
      LOWBIT_UNROLL
      for (int s = 0; s < kChunkSteps; ++s) {
        LOWBIT_UNROLL
        for (int reg = 0; reg < 4; ++reg) operands[s][reg] = code_bytes<kBits>(codes, s, reg);
      }
      Input::wait(thread, place);
      const StageOperand<Input, kTokens> operand(thread, place.stage);
      multiply_part<0>(thread, operands, operand, parts[0]);
      feed.next(thread);
      add_parts<0>(thread, operands, operand, parts, sums, [&] { Input::release(thread, place.stage); });
      place.advance();
    }
  }

  // A lane has four rows side by side of a token at a time.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void store(Thread& thread, const Float8Product& call, int row, int token, int at,
                                       const NoNumbers&, const Sums& sums) {
    const int scales_at = at + kGroupTurnedWords + thread.index() / kLanes % kGroupWarps * kTokens;
    put_token_scales(thread, call, token, scales_at);
    const Matrix& weight = call.weight;
    const int own_row = row + thread.index() % 4 * 4;
    float scales[4] = {};
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (own_row + i < weight.rows) scales[i] = scale_of(weight, scale_place_of_row(own_row + i));
    }
    const auto token_scales = thread.template shared<float>();
    turn_sums(thread, turned_at(thread, at), sums, [&](int in_tile, const Word4& words) {
      if (token + in_tile >= call.tokens) return;
      const float scale = token_scales.load(scales_at + in_tile);
      float y[4];
      LOWBIT_UNROLL
      for (int i = 0; i < 4; ++i) y[i] = float_from_bits(words.x[i]) * scales[i] * scale;
      store_four(call.output, token + in_tile, own_row, weight.rows, y);
    });
  }

 private:
  static constexpr int kPartTiles = 8;
  static constexpr int kParts = kTokenTiles / kPartTiles;
  static_assert(kTokenTiles % kPartTiles == 0);

  /// A chunk's left operands, and the sums of a part of the tokens over its columns.
  using Operands = std::uint32_t[kChunkSteps][4];
  using Part = float[kPartTiles][4];

  // Part number kPart, whose products are on their way, and those behind it. `release` comes when no products are left.
  template <int kPart, typename Thread, typename Operand, typename Release>
  LOWBIT_HOST_DEVICE static void add_parts(Thread& thread, const Operands& operands, const Operand& operand,
                                           Part (&parts)[2], Sums& sums, const Release& release) {
    constexpr bool kMore = kPart + 1 < kParts;
    if constexpr (kMore) multiply_part<kPart + 1>(thread, operands, operand, parts[(kPart + 1) % 2]);
    thread.template wait_group_products<kMore ? 1 : 0>();
    if constexpr (!kMore) release();
    LOWBIT_UNROLL
    for (int n = 0; n < kPartTiles; ++n) {
      LOWBIT_UNROLL
      for (int e = 0; e < 4; ++e) sums[kPart * kPartTiles + n][e] += parts[kPart % 2][n][e];
    }
    if constexpr (kMore) add_parts<kPart + 1>(thread, operands, operand, parts, sums, release);
  }

  template <int kPart, typename Thread, typename Operand>
  LOWBIT_HOST_DEVICE static void multiply_part(Thread& thread, const Operands& operands, const Operand& operand,
                                               Part& part) {
    constexpr int kUnits = kPart * kPartTiles * 128 / 16;  // a tile of tokens is a brick of 128 bytes
    thread.begin_group_products();
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      thread.multiply_group_float8(part, operands[s], operand.behind(s * kTokens * kByteDepth / 16 + kUnits), s > 0);
    }
    thread.commit_group_products();
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void put_token_scales(Thread& thread, const Float8Product& call, int token, int at) {
    auto scales = thread.template shared<float>();
    thread.sync_warp();  // everybody has read those of the tile before
    LOWBIT_UNROLL
    for (int n = 0; n < kTokens / kLanes; ++n) {
      const int in_tile = n * kLanes + thread.index() % kLanes;
      scales.store(at + in_tile, token + in_tile < call.tokens ? call.scales[token + in_tile] : 0.0F);
    }
    thread.sync_warp();
  }
};

}  // namespace lowbit::kernels::cuda
