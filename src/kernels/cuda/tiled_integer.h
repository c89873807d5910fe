#pragma once

#include "kernels/cuda/integer.h"
#include "kernels/cuda/warp_sums.h"

// `Arithmetic::kInt8` for many tokens and weights of up to 4 bits in groups, with the CPU's bits: a warp's sums of a
// group stay in its registers, where they meet their scale. Activations pass through shared memory in stages of 128
// columns, as in `Tiled`; they are as `Quantize` gives them row by row.
namespace lowbit::kernels::cuda {

/// Codes of four bytes less their zero, as bytes with a sign: no byte's sum carries into the next one, since codes
/// are below 16 and zeros 128 at most.
struct SignedCodes {
  std::uint32_t minus_zeros;
  LOWBIT_HOST_DEVICE explicit SignedCodes(std::uint32_t zero) : minus_zeros((0x80U - zero) * 0x01010101U) {}
  LOWBIT_HOST_DEVICE std::uint32_t of(std::uint32_t codes) const { return (codes + minus_zeros) ^ 0x80808080U; }
};

/// A block makes 128 rows and 128 tokens, a warp 32 and 64 of them. Zero points are 128 at most.
template <int kBits>
class TiledInteger {
  static_assert(kBits <= 4);

 public:
  static constexpr int kWarps = 8;
  static constexpr int kThreads = kWarps * kLanes;
  static constexpr int kResidentBlocks = 1;
  static constexpr int kStages = 4;
  static constexpr int kBlockTokens = 128;
  static constexpr int kBlockTiles = 8;
  /// 16-byte units of a token in a stage.
  static constexpr int kUnits = kChunkSteps * kStepColumns / 16;
  static constexpr int kStageWords = kBlockTokens * kUnits * 4;
  static constexpr int kSharedWords = kStages * kStageWords;
  static_assert(kSharedWords >= kWarps * kTurnedWords);

  /// Where a token's unit lies in a stage, in words. Of four tokens side by side a lane's half of a step lies in other
  /// banks, so that sixteen lanes read from all of them.
  LOWBIT_HOST_DEVICE static constexpr int unit_at(int token, int unit) {
    return (token * kUnits + (unit ^ (token % 4 * 2))) * 4;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const IntegerProduct& call) {
    TiledInteger part(thread);
    thread.allow_next_grid();
    part.work(thread, call);
    part.store(thread, call);
  }

 private:
  static constexpr int kWarpTiles = 2;
  static constexpr int kTokenTiles = 8;
  struct Chunk {
    Codes<kBits> codes[kWarpTiles];
    Parameters parameters[kWarpTiles];  ///< of the chunk's group, where it has one
  };

  template <typename Thread>
  LOWBIT_HOST_DEVICE explicit TiledInteger(Thread& thread)
      : lane_(thread.index() % kLanes),
        warp_(thread.index() / kLanes),
        tile_(thread.block(0) * kBlockTiles + warp_ / 2 * kWarpTiles),
        token_(thread.block(1) * kBlockTokens),
        in_block_(warp_ % 2 * kTokenTiles * 8) {}

  template <typename Thread>
  LOWBIT_HOST_DEVICE void work(Thread& thread, const IntegerProduct& call) {
    const Matrix& weight = call.weight;
    const int chunks = chunks_of(weight);
    const bool whole = weight.group_steps % kChunkSteps == 0;  // a chunk has one group
    const int group_chunks = weight.group_steps / kChunkSteps;
    int group_left = group_chunks;
    Chunk next = {};
    load(thread, weight, 0, whole, next);
    thread.wait_for_previous_grid();
    LOWBIT_UNROLL
    for (int stage = 0; stage < kStages - 1; ++stage) copy_stage(thread, call, stage);
    LOWBIT_NO_UNROLL
    for (int chunk = 0; chunk < chunks; ++chunk) {
      thread.template wait_copies<kStages - 2>();
      // Behind this barrier all threads' copies of the stage are there, and nobody reads the one that is copied to
      // next.
      thread.sync();
      copy_stage(thread, call, chunk + kStages - 1);
      const Chunk current = next;
      load(thread, weight, chunk + 1, whole, next);
      const int stage = chunk % kStages * kStageWords;
      if (!whole) {
        add_steps(thread, weight, chunk, stage, current);
        continue;
      }
      LOWBIT_UNROLL
      for (int s = 0; s < kChunkSteps; ++s) add_step(thread, stage, s, current.codes, current.parameters);
      if (--group_left == 0 || chunk + 1 == chunks) {
        close_group(weight, current.parameters);
        group_left = group_chunks;
      }
    }
    thread.template wait_copies<0>();
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void load(Thread& thread, const Matrix& weight, int chunk, bool whole, Chunk& target) const {
    if (chunk >= chunks_of(weight)) return;
    LOWBIT_UNROLL
    for (int r = 0; r < kWarpTiles; ++r) {
      if (tile_ + r >= tiles_of(weight)) continue;
      target.codes[r] = load_codes<kBits>(thread, weight, tile_ + r, chunk, lane_);
      if (!whole) continue;
      target.parameters[r] =
          load_parameters(thread, weight, tile_ + r, chunk * kChunkSteps / weight.group_steps, lane_);
    }
  }

  // Groups that begin and end within a chunk.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_steps(Thread& thread, const Matrix& weight, int chunk, int stage, const Chunk& current) {
    GroupCursor cursor(weight, chunk * kChunkSteps);
    Parameters parameters[kWarpTiles] = {};
    const auto load_group = [&] {
      LOWBIT_UNROLL
      for (int r = 0; r < kWarpTiles; ++r) {
        if (tile_ + r >= tiles_of(weight)) continue;
        parameters[r] = load_parameters(thread, weight, tile_ + r, cursor.group, lane_);
      }
    };
    load_group();
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      const int step = chunk * kChunkSteps + s;
      if (step >= weight.steps) break;
      add_step(thread, stage, s, current.codes, parameters);
      const bool ends = cursor.advance(weight);
      if (!ends && step + 1 < weight.steps) continue;
      close_group(weight, parameters);
      if (step + 1 < weight.steps) load_group();
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_step(Thread& thread, int stage, int in_chunk, const Codes<kBits> (&codes)[kWarpTiles],
                                   const Parameters (&parameters)[kWarpTiles]) {
    auto shared = thread.template shared<std::uint32_t>();
    std::uint32_t a[kWarpTiles][4];
    LOWBIT_UNROLL
    for (int r = 0; r < kWarpTiles; ++r) {
      LOWBIT_UNROLL
      for (int reg = 0; reg < 4; ++reg) {
        a[r][reg] = SignedCodes(parameters[r].zero(reg % 2)).of(code_bytes<kBits>(codes[r], in_chunk, reg));
      }
    }
    LOWBIT_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      const int token = in_block_ + n * 8 + lane_ / 4;
      const int unit = unit_at(token, in_chunk * 2 + lane_ % 4 / 2);
      const Word2 b = shared.load8(stage + unit + lane_ % 2 * 2);
      LOWBIT_UNROLL
      for (int r = 0; r < kWarpTiles; ++r) thread.multiply_add_signed_bytes(sums_[r][n], a[r], b.x[0], b.x[1]);
    }
  }

  LOWBIT_HOST_DEVICE void close_group(const Matrix& weight, const Parameters (&parameters)[kWarpTiles]) {
    LOWBIT_UNROLL
    for (int r = 0; r < kWarpTiles; ++r) {
      const float scales[2] = {parameters[r].scale(weight.scale_kind, 0), parameters[r].scale(weight.scale_kind, 1)};
      LOWBIT_UNROLL
      for (int n = 0; n < kTokenTiles; ++n) {
        LOWBIT_UNROLL
        for (int i = 0; i < 4; ++i) {
          chain_[r][n][i] = fused(static_cast<float>(sums_[r][n][i]), scales[i / 2], chain_[r][n][i]);
          sums_[r][n][i] = 0;
        }
      }
    }
  }

  // Behind the last chunk an empty group of copies, so that the waits count on.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void copy_stage(Thread& thread, const IntegerProduct& call, int chunk) const {
    auto shared = thread.template shared<std::uint32_t>();
    const std::int64_t width = std::int64_t{call.weight.steps} * kStepColumns;
    if (chunk < chunks_of(call.weight)) {
      const int base = chunk % kStages * kStageWords;
      LOWBIT_UNROLL
      for (int i = 0; i < kBlockTokens * kUnits / kThreads; ++i) {
        const int e = thread.index() + i * kThreads;
        const int token = e / kUnits;
        const int unit = e % kUnits;
        const bool present = token_ + token < call.tokens && chunk * kChunkSteps + unit / 2 < call.weight.steps;
        const std::int8_t* from = call.bytes + (token_ + token) * width + (chunk * kUnits + unit) * 16;
        shared.copy_async16(base + unit_at(token, unit), present ? from : call.bytes, present);
      }
    }
    thread.commit_copies();
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void store(Thread& thread, const IntegerProduct& call) const {
    thread.sync();  // all have read the last stage
    LOWBIT_UNROLL
    for (int r = 0; r < kWarpTiles; ++r) {
      const int row = (tile_ + r) * kTileRows + lane_ % 4 * 4;
      turn_sums(thread, warp_ * kTurnedWords, chain_[r], [&](int in_warp, const Word4& words) {
        const int token = token_ + in_block_ + in_warp;
        if (token >= call.tokens) return;
        const float scale = call.scales[token];
        float y[4];
        LOWBIT_UNROLL
        for (int i = 0; i < 4; ++i) y[i] = float_from_bits(words.x[i]) * scale;
        store_four(call.output, token, row, call.weight.rows, y);
      });
    }
  }

  int lane_;
  int warp_;
  int tile_;
  int token_;     ///< the block's first
  int in_block_;  ///< the warp's first
  std::int32_t sums_[kWarpTiles][kTokenTiles][4] = {};
  float chain_[kWarpTiles][kTokenTiles][4] = {};
};

}  // namespace lowbit::kernels::cuda
