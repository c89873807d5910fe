#pragma once

#include "kernels/cuda/chunk.h"
#include "kernels/cuda/output.h"
#include "kernels/cuda/runs.h"
#include "kernels/cuda/scales.h"

// What surrounds a library's product of bytes with a matrix whose rows have one scale each, so that it gives the bits
// of `Integer`: codes as bytes with a sign in front of it, zeros and scales behind it.
namespace lowbit::kernels::cuda {

/// A byte with a sign holds code - offset: codes of 8 bits lose 128, all others are below that.
LOWBIT_HOST_DEVICE constexpr std::int32_t code_offset(int bits) { return bits == 8 ? 128 : 0; }

struct ExpandCodesCall {
  Matrix weight;
  std::int8_t* output;  ///< [tiles * 16][steps * 32], places in the order of `Quantize`; begins on 8 bytes
};

/// A warp takes a chunk of a tile. Rows that fill up the last tile are written too: a library likes whole sixteens.
template <int kBits>
struct ExpandCodes {
  static constexpr int kThreads = 128;
  static constexpr int kResidentBlocks = 1;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const ExpandCodesCall& call) {
    const int lane = thread.index() % kLanes;
    const int tile = thread.block(0);
    const int chunk = thread.block(1) * (kThreads / kLanes) + thread.index() / kLanes;
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    if (chunk >= chunks_of(call.weight)) return;
    const Codes<kBits> codes = load_codes<kBits>(thread, call.weight, tile, chunk, lane);
    const std::int64_t width = std::int64_t{call.weight.steps} * kStepColumns;
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      const int step = chunk * kChunkSteps + s;
      if (step >= call.weight.steps) break;
      LOWBIT_UNROLL
      for (int half = 0; half < 2; ++half) {
        const std::int64_t row = std::int64_t{tile} * kTileRows + lane / 4 + half * 8;
        *reinterpret_cast<std::uint64_t*>(call.output + row * width + step * kStepColumns + lane % 4 * 8) =
            bytes_of(codes, s, half) | std::uint64_t{bytes_of(codes, s, 2 + half)} << 32;
      }
    }
  }

 private:
  // Subtracting 128 from a byte turns its highest bit.
  LOWBIT_HOST_DEVICE static std::uint32_t bytes_of(const Codes<kBits>& codes, int step, int reg) {
    const std::uint32_t bytes = code_bytes<kBits>(codes, step, reg);
    return code_offset(kBits) == 0 ? bytes : bytes ^ 0x80808080U;
  }
};

struct FinishBytesCall {
  Matrix weight;               ///< of one group
  const std::int32_t* totals;  ///< [tokens][tiles * 16]: of (code - offset) times the integers of a token
  const float* scales;         ///< as QuantizeCall
  const std::int32_t* sums;
  std::int32_t tokens;
  Target output;
};

/// A thread takes a row for some tokens.
struct FinishBytes {
  static constexpr int kThreads = 256;
  static constexpr int kResidentBlocks = 1;
  static constexpr int kTokens = 8;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const FinishBytesCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    const Matrix& weight = call.weight;
    const int row = thread.block(0) * kThreads + thread.index();
    const bool present = row < weight.rows;
    const std::int64_t at = row / kTileRows * kTileRows + scale_place(row % kTileRows);
    const float scale = present ? scale_of(weight, at) : 0.0F;
    const std::int32_t zero = present ? zero_of(weight, at) : weight.uniform_zero;
    const bool shifted = weight.zeros != nullptr || weight.uniform_zero != code_offset(weight.bits);
    const std::int64_t stride = std::int64_t{tiles_of(weight)} * kTileRows;
    for (int i = 0; i < kTokens; ++i) {
      const int token = thread.block(1) * kTokens + i;
      if (token >= call.tokens) break;
      const std::int32_t sum = shifted ? sum_of(thread, call, token) : 0;
      if (!present) continue;
      const std::int32_t total = call.totals[token * stride + row] + (code_offset(weight.bits) - zero) * sum;
      const float chain = fused(static_cast<float>(total), scale, 0.0F);
      call.output.store(token, row, chain * call.scales[token]);
    }
  }

 private:
  // A warp together: of all of the token's integers.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static std::int32_t sum_of(Thread& thread, const FinishBytesCall& call, int token) {
    const int runs = runs_of(1, call.weight.group_steps);
    std::int32_t sum = 0;
    for (int r = thread.index() % kLanes; r < runs; r += kLanes) sum += call.sums[std::int64_t{token} * runs + r];
    LOWBIT_UNROLL
    for (int mask = kLanes / 2; mask > 0; mask /= 2) sum += thread.shuffle_xor(sum, mask);
    return sum;
  }
};

}  // namespace lowbit::kernels::cuda
