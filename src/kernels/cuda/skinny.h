#pragma once

#include "kernels/cuda/splits.h"

// Products of 16-bit activations with a packed matrix, for decoding and small batches: every weight is read once,
// straight into the registers of the matrix instruction. A block's warps share the columns of one or two tiles of rows,
// and blocks may share them further; sums are joined in a fixed order.
namespace lowbit::kernels::cuda {

inline constexpr int kSkinnyWarps = 8;
inline constexpr int kSkinnyThreads = kSkinnyWarps * kLanes;

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
  /// In front of the sums: what `Number` keeps there.
  static constexpr int kSumsAt = Number::template shared_words<kBits>();
  static constexpr int kSharedFloats = kSumsAt + kSkinnyWarps * kTileTokens * kSharedStride + 4;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const HalfProduct& call) {
    Skinny part(thread.index() / kLanes, thread.index() % kLanes, thread.block(0) * kRowTiles,
                thread.block(2) * kTokens);
    thread.allow_next_grid();
    Number::template prepare_block<kBits>(thread, call.weight, kThreads);
    part.sum_chunks(thread, call);
    part.join(thread, call);
    if (call.splits > 1) {
      finish_splits(thread, call, {part.sums_.tile * kTileRows, kRows, part.token_, kTokens, kThreads},
                    kSharedFloats - 1);
    }
  }

 private:
  // Chunks in flight for each warp: all warps of a multiprocessor together keep some 50 KB on their way.
  static constexpr int kDepth = kTokenTiles > 1 ? 2 : kBits == 2 ? 4 : kBits == 8 ? 2 : 3;
  using Sums = HalfSums<kBits, Number, kRowTiles, kTokenTiles>;

  LOWBIT_HOST_DEVICE Skinny(int warp, int lane, int tile, int token)
      : warp_(warp), token_(token), sums_{lane, tile, {}} {}

  template <typename Thread>
  LOWBIT_HOST_DEVICE void sum_chunks(Thread& thread, const HalfProduct& call) {
    const int stride = call.splits * kSkinnyWarps;
    const int first = thread.block(1) * kSkinnyWarps + warp_;
    typename Sums::Chunk ring[kDepth] = {};
    const auto x = [&](int step, int, int n) {
      return activations(thread, call, token_ + n * kTileTokens + sums_.lane / 4,
                         step * kStepColumns + sums_.lane % 4 * 8);
    };
    LOWBIT_UNROLL
    for (int d = 0; d < kDepth; ++d) sums_.load(thread, call.weight, first + d * stride, ring[d]);
    thread.wait_for_previous_grid();
    for (int base = first; base < chunks_of(call.weight); base += kDepth * stride) {
      LOWBIT_UNROLL
      for (int d = 0; d < kDepth; ++d) {
        const int chunk = base + d * stride;
        if (chunk >= chunks_of(call.weight)) break;
        sums_.add_chunk(thread, call.weight, chunk, ring[d], x);
        sums_.load(thread, call.weight, chunk + kDepth * stride, ring[d]);
      }
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
          const int token = sums_.lane % 4 * 2 + i % 2;
          const int row = r * kTileRows + sums_.lane / 4 + i / 2 * 8;
          shared.store(kSumsAt + (warp_ * kTileTokens + token) * kSharedStride + row, sums_.sums[r][n][i]);
        }
      }
      thread.sync();
      for (int e = thread.index(); e < kRows * kTileTokens; e += kSkinnyThreads) {
        const int token = e / kRows;
        float sum = shared.load(kSumsAt + token * kSharedStride + e % kRows);
        LOWBIT_UNROLL
        for (int w = 1; w < kSkinnyWarps; ++w) {
          sum += shared.load(kSumsAt + (w * kTileTokens + token) * kSharedStride + e % kRows);
        }
        deliver(thread, call, token_ + n * kTileTokens + token, sums_.tile * kTileRows + e % kRows, sum);
      }
      thread.sync();
    }
  }

  int warp_;
  int token_;
  Sums sums_;
};

}  // namespace lowbit::kernels::cuda
