#pragma once

#include "kernels/cuda/chunk.h"
#include "kernels/cuda/output.h"

// Products of 16-bit activations with a packed matrix, for decoding and small batches: every weight is read once,
// straight into the registers of the matrix instruction. A block's warps share the columns of one or two tiles of rows,
// and blocks may share them further; sums are joined in a fixed order.
namespace lowbit::kernels::cuda {

struct HalfProduct {
  Matrix weight;
  const std::uint16_t* input;  ///< [tokens][input_stride], in the order of places
  std::int64_t input_stride;   ///< numbers
  std::int32_t input_places;   ///< what lies behind them is zero
  std::int32_t tokens;
  bool aligned;  ///< every eight places begin on 16 bytes
  Target output;
  std::int32_t splits;
  float* partials;          ///< [splits][tokens][rows], for more than one split
  std::uint32_t* arrivals;  ///< [blocks of rows and tokens], zero before and after
};

inline constexpr int kSkinnyWarps = 8;
inline constexpr int kSkinnyThreads = kSkinnyWarps * kLanes;
inline constexpr int kTileTokens = 8;

template <typename Number, int kBits>
LOWBIT_HOST_DEVICE inline Quad decode_quad(const Codes<kBits>& codes, const Parameters& parameters, int in_chunk,
                                           int reg) {
  return Number::template decode<kBits>(code_bytes<kBits>(codes, in_chunk, reg),
                                        Number::prepare(parameters.zero(reg % 2)));
}

/// A step of a tile, its four registers decoded, times eight places of a token.
template <typename Number, typename Thread>
LOWBIT_HOST_DEVICE inline void multiply_step(Thread& thread, const Quad (&quads)[4], const Word4& x, float (&sums)[4]) {
  LOWBIT_UNROLL
  for (int i = 0; i < 2; ++i) {
    const Quad& top = quads[2 * i];
    const Quad& bottom = quads[2 * i + 1];
    const std::uint32_t a[4] = {top.first, bottom.first, top.last, bottom.last};
    thread.multiply_add(Number{}, sums, a, x.x[2 * i], x.x[2 * i + 1]);
  }
}

/// Ends a group: sums += group sums times the scale of their row, rounded once; group sums begin again.
template <int kTokenTiles>
LOWBIT_HOST_DEVICE inline void scale_sums(const Matrix& weight, const Parameters& parameters,
                                          float (&group_sums)[kTokenTiles][4], float (&sums)[kTokenTiles][4]) {
  const float scales[2] = {parameters.scale(weight.scale_kind, 0), parameters.scale(weight.scale_kind, 1)};
  LOWBIT_UNROLL
  for (int n = 0; n < kTokenTiles; ++n) {
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      sums[n][i] = fused(group_sums[n][i], scales[i / 2], sums[n][i]);
      group_sums[n][i] = 0.0F;
    }
  }
}

/// The sum of an output: its columns' chunks are dealt to splits * 8 parts in turn. A part adds, for each group that a
/// chunk holds, f = fma(sum of x (code - zero), scale, f), the inner sum made by the tensor cores in float32; parts are
/// then added in order. So an output depends on neither the number of tokens nor the tiles below.
template <int kBits, typename Number, int kTokenTiles, int kRowTiles>
class Skinny {
 public:
  static constexpr int kThreads = kSkinnyThreads;
  static constexpr int kRows = kRowTiles * kTileRows;
  static constexpr int kTokens = kTokenTiles * kTileTokens;
  /// Rows of a token side by side; four more, so that the lanes of a warp write to 32 banks.
  static constexpr int kSharedStride = kRows + 4;
  /// Blocks that must fit on a multiprocessor at once, which bounds registers.
  static constexpr int kResidentBlocks = kTokenTiles == 1 ? 3 : kTokenTiles == 8 ? 1 : 2;
  static constexpr int kSharedFloats = kSkinnyWarps * kTileTokens * kSharedStride + 4;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const HalfProduct& call) {
    Skinny part(thread.index() / kLanes, thread.index() % kLanes, thread.block(0) * kRowTiles,
                thread.block(2) * kTokens);
    thread.allow_next_grid();
    part.sum_chunks(thread, call);
    part.join(thread, call);
    if (call.splits > 1) part.finish_splits(thread, call);
  }

 private:
  // Chunks in flight for each warp: all warps of a multiprocessor together keep some 50 KB on their way.
  static constexpr int kDepth = kTokenTiles > 1 ? 2 : kBits == 2 ? 4 : kBits == 8 ? 2 : 3;
  struct Chunk {
    Codes<kBits> codes[kRowTiles];
    Parameters parameters[kRowTiles];
  };
  using Accumulators = float[kRowTiles][kTokenTiles][4];

  LOWBIT_HOST_DEVICE Skinny(int warp, int lane, int tile, int token)
      : warp_(warp), lane_(lane), tile_(tile), token_(token) {}

  template <typename Thread>
  LOWBIT_HOST_DEVICE void load(Thread& thread, const HalfProduct& call, int chunk, Chunk& target) const {
    if (chunk >= chunks_of(call.weight)) return;
    const GroupCursor cursor(call.weight, chunk * kChunkSteps);
    LOWBIT_UNROLL
    for (int r = 0; r < kRowTiles; ++r) {
      if (tile_ + r >= tiles_of(call.weight)) continue;
      target.codes[r] = load_codes<kBits>(thread, call.weight, tile_ + r, chunk, lane_);
      target.parameters[r] = load_parameters(thread, call.weight, tile_ + r, cursor.group, lane_);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void sum_chunks(Thread& thread, const HalfProduct& call) {
    const int stride = call.splits * kSkinnyWarps;
    const int first = thread.block(1) * kSkinnyWarps + warp_;
    Chunk ring[kDepth] = {};
    LOWBIT_UNROLL
    for (int d = 0; d < kDepth; ++d) load(thread, call, first + d * stride, ring[d]);
    thread.wait_for_previous_grid();
    for (int base = first; base < chunks_of(call.weight); base += kDepth * stride) {
      LOWBIT_UNROLL
      for (int d = 0; d < kDepth; ++d) {
        const int chunk = base + d * stride;
        if (chunk >= chunks_of(call.weight)) break;
        add_chunk(thread, call, chunk, ring[d]);
        load(thread, call, chunk + kDepth * stride, ring[d]);
      }
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_chunk(Thread& thread, const HalfProduct& call, int chunk, Chunk& current) {
    Accumulators group_sums = {};
    GroupCursor cursor(call.weight, chunk * kChunkSteps);
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      const int step = chunk * kChunkSteps + s;
      if (step >= call.weight.steps) break;
      add_step(thread, call, step, s, current, group_sums);
      const bool closes = cursor.advance(call.weight);
      if (!closes || s + 1 == kChunkSteps || step + 1 == call.weight.steps) continue;
      close_group(call, current, group_sums);
      LOWBIT_UNROLL
      for (int r = 0; r < kRowTiles; ++r) {
        if (tile_ + r >= tiles_of(call.weight)) continue;
        current.parameters[r] = load_parameters(thread, call.weight, tile_ + r, cursor.group, lane_);
      }
    }
    close_group(call, current, group_sums);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_step(Thread& thread, const HalfProduct& call, int step, int in_chunk,
                                   const Chunk& current, Accumulators& group_sums) const {
    Quad quads[kRowTiles][4];
    LOWBIT_UNROLL
    for (int r = 0; r < kRowTiles; ++r) {
      LOWBIT_UNROLL
      for (int reg = 0; reg < 4; ++reg) {
        quads[r][reg] = decode_quad<Number>(current.codes[r], current.parameters[r], in_chunk, reg);
      }
    }
    LOWBIT_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      const int token = token_ + n * kTileTokens + lane_ / 4;
      const Word4 x = activations(thread, call, token, step * kStepColumns + lane_ % 4 * 8);
      LOWBIT_UNROLL
      for (int r = 0; r < kRowTiles; ++r) multiply_step<Number>(thread, quads[r], x, group_sums[r][n]);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static Word4 activations(Thread& thread, const HalfProduct& call, int token, int place) {
    Word4 result = {};
    if (token >= call.tokens) return result;
    const std::uint16_t* from = call.input + token * call.input_stride + place;
    if (call.aligned && place + 8 <= call.input_places) return thread.read16(from);
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) {
      if (place + i >= call.input_places) continue;
      result.x[i / 2] |= static_cast<std::uint32_t>(thread.read2(from + i)) << (16 * (i % 2));
    }
    return result;
  }

  LOWBIT_HOST_DEVICE void close_group(const HalfProduct& call, const Chunk& current, Accumulators& group_sums) {
    LOWBIT_UNROLL
    for (int r = 0; r < kRowTiles; ++r) scale_sums(call.weight, current.parameters[r], group_sums[r], sums_[r]);
  }

  // The warps' sums, added in the order of warps.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void join(Thread& thread, const HalfProduct& call) const {
    auto shared = thread.template shared<float>();
    LOWBIT_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      LOWBIT_UNROLL
      for (int r = 0; r < kRowTiles; ++r) {
        LOWBIT_UNROLL
        for (int i = 0; i < 4; ++i) {
          const int token = lane_ % 4 * 2 + i % 2;
          const int row = r * kTileRows + lane_ / 4 + i / 2 * 8;
          shared.store((warp_ * kTileTokens + token) * kSharedStride + row, sums_[r][n][i]);
        }
      }
      thread.sync();
      for (int e = thread.index(); e < kRows * kTileTokens; e += kSkinnyThreads) {
        const int token = e / kRows;
        float sum = shared.load(token * kSharedStride + e % kRows);
        LOWBIT_UNROLL
        for (int w = 1; w < kSkinnyWarps; ++w) {
          sum += shared.load((w * kTileTokens + token) * kSharedStride + e % kRows);
        }
        deliver(thread, call, token_ + n * kTileTokens + token, tile_ * kTileRows + e % kRows, sum);
      }
      thread.sync();
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void deliver(Thread& thread, const HalfProduct& call, int token, int row, float sum) {
    if (token >= call.tokens || row >= call.weight.rows) return;
    if (call.splits == 1) {
      call.output.store(token, row, sum);
    } else {
      const std::int64_t at = (std::int64_t{thread.block(1)} * call.tokens + token) * call.weight.rows + row;
      call.partials[at] = sum;
    }
  }

  // The block that comes last adds the splits' sums, in the order of splits.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void finish_splits(Thread& thread, const HalfProduct& call) const {
    auto flag = thread.template shared<std::uint32_t>();
    std::uint32_t* arrivals = call.arrivals + thread.block(2) * thread.blocks(0) + thread.block(0);
    thread.fence();
    thread.sync();
    if (thread.index() == 0) {
      const std::uint32_t before = thread.atomic_add(arrivals, 1U);
      flag.store(kSharedFloats - 1, before + 1 == static_cast<std::uint32_t>(call.splits) ? 1U : 0U);
    }
    thread.sync();
    if (flag.load(kSharedFloats - 1) == 0) return;
    thread.fence();
    for (int e = thread.index(); e < kRows * kTokens; e += kSkinnyThreads) {
      const int token = token_ + e / kRows;
      const int row = tile_ * kTileRows + e % kRows;
      if (token >= call.tokens || row >= call.weight.rows) continue;
      float sum = 0.0F;
      for (int s = 0; s < call.splits; ++s) {
        sum += thread.read_shared_by_blocks(call.partials + (std::int64_t{s} * call.tokens + token) * call.weight.rows +
                                            row);
      }
      call.output.store(token, row, sum);
    }
    if (thread.index() == 0) *arrivals = 0;
  }

  int warp_;
  int lane_;
  int tile_;
  int token_;
  float sums_[kRowTiles][kTokenTiles][4] = {};
};

}  // namespace lowbit::kernels::cuda
