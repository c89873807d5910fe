#pragma once

#include "kernels/cuda/block_sums.h"
#include "kernels/cuda/hopper_bytes_input.h"
#include "kernels/cuda/hopper_input.h"
#include "kernels/cuda/integer.h"
#include "kernels/cuda/lane_ring.h"
#include "kernels/cuda/operand_ring.h"

// `Arithmetic::kInt8` of 64 tokens and more on Hopper (sm_90a), for matrices whose rows have one scale each, with the
// CPU's bits. The packed codes are the left operand of the instruction as they are: unsigned bytes, from registers.
namespace lowbit::kernels::cuda {

/// A block makes 128 rows of its tokens. One warp copies activations; two groups of four warps take 64 rows each.
template <int kBits, int kTokenTiles>
class HopperBytes {
 public:
  static constexpr int kConsumerWarps = 8;
  /// As in `HopperOverlapped`: registers move from the producer's group of four warps to the others.
  static constexpr int kThreads = (kConsumerWarps + 4) * kLanes;
  static constexpr int kProducerRegisters = 24;
  static constexpr int kConsumerRegisters = 240;
  static constexpr int kBlockTiles = kConsumerWarps;
  static constexpr int kTokens = kTokenTiles * kTileTokens;
  static constexpr int kResidentBlocks = 1;
  static constexpr int kClusterBlocks = kTokenTiles <= 8 ? 1 : 2;
  static constexpr int kStages = kTokenTiles == 32 ? 4 : 6;
  static constexpr int kChunksAhead = kTokenTiles == 32 ? 5 : kTokenTiles == 16 ? 6 : 8;
  static constexpr int kStageWords = kTokens * kChunkSteps * kByteDepth / 4;
  using Weights = LaneRing<kBits, kChunksAhead, false>;
  using Input = OperandRing<kConsumerWarps * Weights::kWords, kStages, kStageWords, kConsumerWarps, kClusterBlocks>;
  using Outputs = BlockSums<kConsumerWarps, kTokenTiles>;
  static_assert(Outputs::kWords <= Input::kBarriersAt, "outputs take the place of weights and stages");
  /// A token's scale, and the sum of its integers.
  static constexpr int kTokenScalesAt = Input::kEnd;
  static constexpr int kTokenSumsAt = kTokenScalesAt + kTokens;
  static constexpr int kSharedWords = kTokenSumsAt + kTokens;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const IntegerProduct& call) {
    const HopperBytes block(thread);
    thread.allow_next_grid();
    Input::prepare(thread);
    if (thread.warp() >= kConsumerWarps) {
      thread.template give_registers<kProducerRegisters>();
      if (thread.warp() == kConsumerWarps) block.produce(thread, call);
      for (int i = 0; i < 2; ++i) thread.sync();  // those of the others
      Input::leave(thread);
    } else {
      thread.template take_registers<kConsumerRegisters>();
      block.consume(thread, call);
      Input::leave(thread);
    }
  }

 private:
  using Sums = std::int32_t[kTokenTiles][4];
  /// A chunk's left operands.
  using Operands = std::uint32_t[kChunkSteps][4];

  template <typename Thread>
  LOWBIT_HOST_DEVICE explicit HopperBytes(Thread& thread)
      : tile_(thread.block(0) * kBlockTiles), token_(thread.block(1) * kTokens) {}

  template <typename Thread>
  LOWBIT_HOST_DEVICE void produce(Thread& thread, const IntegerProduct& call) const {
    thread.wait_for_previous_grid();
    const int chunks = chunks_of(call.weight);
    const std::int64_t chunk = std::int64_t{thread.block(1)} * chunks;
    Input::produce(thread, reinterpret_cast<const std::uint32_t*>(call.bytes) + chunk * kStageWords, chunks);
  }

  // The first weights are on their way before the grid in front has ended.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void consume(Thread& thread, const IntegerProduct& call) const {
    const int warp = thread.warp();
    const int chunks = chunks_of(call.weight);
    const Weights weights(call.weight, tile_ + warp, thread.index() % kLanes, warp * Weights::kWords);
    for (int i = 0; i < kChunksAhead; ++i) weights.start(thread, i, i, i < chunks);
    thread.wait_for_previous_grid();
    put_token_numbers(thread, call);
    Sums sums = {};
    add_chunks(thread, weights, chunks, sums);
    thread.template wait_copies<0>();
    thread.sync();  // everybody has read the last stages
    Outputs::put(thread, 0, sums);
    thread.sync();
    store(thread, call);
  }

  // A chunk's products run while the next one's codes are read, and its stage is free when those behind it run.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void add_chunks(Thread& thread, const Weights& weights, int chunks, Sums& sums) {
    Operands operands[2];
    multiply_chunk(thread, weights, 0, chunks, operands[0], sums);
    int i = 1;
    for (; i + 1 < chunks; i += 2) {
      multiply_behind(thread, weights, i, chunks, operands[1], sums);
      multiply_behind(thread, weights, i + 1, chunks, operands[0], sums);
    }
    if (i < chunks) multiply_behind(thread, weights, i, chunks, operands[1], sums);
    thread.template wait_group_products<0>();
    Input::release(thread, chunks - 1);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_behind(Thread& thread, const Weights& weights, int i, int chunks,
                                                 Operands& operands, Sums& sums) {
    multiply_chunk(thread, weights, i, chunks, operands, sums);
    thread.template wait_group_products<1>();
    Input::release(thread, i - 1);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void multiply_chunk(Thread& thread, const Weights& weights, int i, int chunks,
                                                Operands& operands, Sums& sums) {
    constexpr std::uint32_t kTokenBytes = 128;
    Weights::template wait<kChunksAhead - 1>(thread);
    const Codes<kBits> codes = weights.codes(thread, i);
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      LOWBIT_UNROLL
      for (int reg = 0; reg < 4; ++reg) operands[s][reg] = code_bytes<kBits>(codes, s, reg);
    }
    Input::wait(thread, i);
    const std::uint64_t right =
        operand_descriptor(thread.shared_address(Input::stage_at(i)), kTokens / 8 * kTokenBytes, kTokenBytes);
    thread.begin_group_products();
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      thread.multiply_group_bytes(sums, operands[s], right + static_cast<std::uint64_t>(s * kTokens * kByteDepth / 16));
    }
    thread.commit_group_products();
    weights.start(thread, i + kChunksAhead, i + kChunksAhead, i + kChunksAhead < chunks);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void put_token_numbers(Thread& thread, const IntegerProduct& call) const {
    auto scales = thread.template shared<float>();
    auto sums = thread.template shared<std::int32_t>();
    const int runs = runs_of(1, call.weight.group_steps);
    if (thread.index() >= kTokens) return;
    const int token = token_ + thread.index();
    const bool present = token < call.tokens;
    std::int32_t sum = 0;
    for (int r = 0; present && r < runs; ++r) sum += call.sums[std::int64_t{token} * runs + r];
    scales.store(kTokenScalesAt + thread.index(), present ? call.scales[token] : 0.0F);
    sums.store(kTokenSumsAt + thread.index(), sum);
  }

  // As `Integer` does: y = scale of the token times fma(sum - zero sum of its integers, scale of the row, 0).
  template <typename Thread>
  LOWBIT_HOST_DEVICE void store(Thread& thread, const IntegerProduct& call) const {
    const Matrix& weight = call.weight;
    const int row = tile_ * kTileRows + Outputs::row_of(thread);
    float scales[4] = {};
    std::int32_t zeros[4] = {};
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (row + i >= weight.rows) continue;
      const int at = (row + i) / kTileRows * kTileRows + scale_place((row + i) % kTileRows);
      scales[i] = scale_of(weight, at);
      zeros[i] = zero_of(weight, at);
    }
    auto token_scales = thread.template shared<float>();
    auto token_sums = thread.template shared<std::int32_t>();
    Outputs::each(thread, call.tokens - token_, [&](int token, const Word4& words) {
      const std::int32_t sum = token_sums.load(kTokenSumsAt + token);
      const float scale = token_scales.load(kTokenScalesAt + token);
      float y[4];
      LOWBIT_UNROLL
      for (int i = 0; i < 4; ++i) {
        const std::int32_t total = static_cast<std::int32_t>(words.x[i]) - zeros[i] * sum;
        y[i] = fused(static_cast<float>(total), scales[i], 0.0F) * scale;
      }
      store_four(call.output, token_ + token, row, weight.rows, y);
    });
  }

  int tile_;
  int token_;
};

}  // namespace lowbit::kernels::cuda
