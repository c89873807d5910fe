#pragma once

#include "kernels/cuda/splits.h"

// Products of 16-bit activations with a packed matrix, for decoding and small batches: every weight is read once,
// straight into the registers of the matrix instruction. A block's warps share the columns of a tile of rows, and
// blocks may share them further; sums are joined in a fixed order.
namespace lowbit::kernels::cuda {

inline constexpr int kSkinnyWarps = 4;
/// Blocks of a multiprocessor at once, for up to 16 tokens.
inline constexpr int kSkinnyBlocks = 6;
inline constexpr int kSkinnyThreads = kSkinnyWarps * kLanes;

/// The sum of an output: its columns' chunks are dealt to splits * 4 parts in turn. A part adds, for each group that a
/// chunk holds, f = fma(sum of x (code - zero), scale, f), the inner sum made by the tensor cores in float32; parts are
/// then added in order. So an output depends on neither the number of tokens nor the tiles below.
template <int kBits, typename Number, int kTokenTiles>
class Skinny {
 public:
  static constexpr int kThreads = kSkinnyThreads;
  static constexpr int kRows = kTileRows;
  static constexpr int kTokens = kTokenTiles * kTileTokens;
  /// Rows of a token side by side; four more, so that the lanes of a warp write to 32 banks.
  static constexpr int kSharedStride = kRows + 4;
  /// Blocks that must fit on a multiprocessor at once, which bounds registers.
  static constexpr int kResidentBlocks = kTokenTiles <= 2 ? kSkinnyBlocks : kTokenTiles == 4 ? 3 : 2;
  /// In front of the sums: what `Number` keeps there.
  static constexpr int kSumsAt = Number::template shared_words<kBits>();
  static constexpr int kSharedFloats = kSumsAt + kSkinnyWarps * kTileTokens * kSharedStride + 4;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const HalfProduct& call) {
    Skinny part(thread);
    thread.allow_next_grid();
    Number::template prepare_block<kBits>(thread, call.weight, kThreads);
    part.sum_chunks(thread, call);
    part.join(thread, call);
    if (call.splits > 1) {
      finish_splits(thread, call, {part.sums_.tile * kTileRows, kRows, part.token_, kTokens, kThreads},
                    kSharedFloats - 1);
    }
  }

  // What `run` is made of, for kernels that do something else with the sums.

  template <typename Thread>
  LOWBIT_HOST_DEVICE explicit Skinny(Thread& thread)
      : warp_(thread.index() / kLanes),
        token_(thread.block(2) * kTokens),
        sums_{thread.index() % kLanes, thread.block(0), {}} {}

  /// Of the block's first token.
  [[nodiscard]] LOWBIT_HOST_DEVICE int token() const { return token_; }

  /// The warp's sums of its chunks.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void sum_chunks(Thread& thread, const HalfProduct& call) {
    const int stride = call.splits * kSkinnyWarps;
    const int first = thread.block(1) * kSkinnyWarps + warp_;
    const int groups = whole_chunk_groups(call);
    if (groups == 1) {
      sum_whole_chunks<1>(thread, call, first, stride);
    } else if (groups == 2) {
      sum_whole_chunks<2>(thread, call, first, stride);
    } else if (kTokenTiles == 1 && groups == 4) {
      sum_whole_chunks<4>(thread, call, first, stride);
    } else {
      sum_any_chunks(thread, call, first, stride);
    }
  }

  /// Its sums of a tile of tokens to shared memory, where a block's begin at word `at`.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void share(Thread& thread, int n, int at) const {
    auto shared = thread.template shared<float>();
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int token = sums_.lane % 4 * 2 + i % 2;
      const int row = sums_.lane / 4 + i / 2 * 8;
      shared.store(at + kSumsAt + (warp_ * kTileTokens + token) * kSharedStride + row, sums_.sums[0][n][i]);
    }
  }

  /// Of the tile that was shared, token e / kRows and row e % kRows, added in the order of warps.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static float sum_of_warps(Thread& thread, int e, int at) {
    auto shared = thread.template shared<float>();
    const int first = at + kSumsAt + e / kRows * kSharedStride + e % kRows;
    float sum = shared.load(first);
    LOWBIT_UNROLL
    for (int w = 1; w < kSkinnyWarps; ++w) sum += shared.load(first + w * kTileTokens * kSharedStride);
    return sum;
  }

 private:
  /// Chunks in flight for each warp. More of them take registers from more blocks, which hide more.
  static constexpr int kDepth = 2;
  using Sums = HalfSums<kBits, Number, 1, kTokenTiles>;

  /// Groups of every chunk, where all are whole, activations too, and groups divide them or are made of them; else
  /// none.
  LOWBIT_HOST_DEVICE static int whole_chunk_groups(const HalfProduct& call) {
    const Matrix& weight = call.weight;
    const bool whole =
        weight.steps % kChunkSteps == 0 && call.aligned && weight.steps * kStepColumns <= call.input_places;
    if (!whole) return 0;
    if (weight.group_steps % kChunkSteps == 0) return 1;
    return weight.group_steps == 2 ? 2 : weight.group_steps == 1 ? 4 : 0;
  }

  template <int kGroups, typename Thread>
  LOWBIT_HOST_DEVICE void sum_whole_chunks(Thread& thread, const HalfProduct& call, int first, int stride) {
    const int chunks = chunks_of(call.weight);
    const ChunkGroup group_of(call.weight);
    const LaneTile<kBits> tile[1] = {{call.weight, sums_.tile, sums_.lane}};
    typename Sums::template GroupedChunk<kGroups> ring[kDepth] = {};
    const auto load = [&](int chunk, auto& target) {
      if (chunk >= chunks) return;
      Sums::load_whole(thread, call.weight, tile, chunk, kGroups == 1 ? group_of(chunk) : chunk * kGroups, target);
    };
    LOWBIT_UNROLL
    for (int d = 0; d < kDepth; ++d) load(first + d * stride, ring[d]);
    thread.wait_for_previous_grid();
    for (int base = first; base < chunks; base += kDepth * stride) {
      LOWBIT_UNROLL
      for (int d = 0; d < kDepth; ++d) {
        const int chunk = base + d * stride;
        if (chunk >= chunks) break;
        add_whole_chunk(thread, call, chunk, ring[d]);
        load(chunk + kDepth * stride, ring[d]);
      }
    }
  }

  template <int kGroups, typename Thread>
  LOWBIT_HOST_DEVICE void add_whole_chunk(Thread& thread, const HalfProduct& call, int chunk,
                                          const typename Sums::template GroupedChunk<kGroups>& current) {
    const int place = chunk * kChunkSteps * kStepColumns + sums_.lane % 4 * 8;
    sums_.template add_whole_chunk<kGroups>(thread, call.weight, current, [&](int step, int n) {
      const int token = token_ + n * kTileTokens + sums_.lane / 4;
      if (token >= call.tokens) return Word4{};
      return thread.read16(call.input + token * call.input_stride + place + step * kStepColumns);
    });
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void sum_any_chunks(Thread& thread, const HalfProduct& call, int first, int stride) {
    typename Sums::Chunk current = {};
    typename Sums::Chunk next = {};
    sums_.load(thread, call.weight, first, next);
    thread.wait_for_previous_grid();
    for (int chunk = first; chunk < chunks_of(call.weight); chunk += stride) {
      current = next;
      sums_.load(thread, call.weight, chunk + stride, next);
      sums_.add_chunk(thread, call.weight, chunk, current, [&](int step, int n) {
        return activations(thread, call, token_ + n * kTileTokens + sums_.lane / 4,
                           (chunk * kChunkSteps + step) * kStepColumns + sums_.lane % 4 * 8);
      });
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

  template <typename Thread>
  LOWBIT_HOST_DEVICE void join(Thread& thread, const HalfProduct& call) const {
    LOWBIT_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      share(thread, n, 0);
      thread.sync();
      for (int e = thread.index(); e < kRows * kTileTokens; e += kSkinnyThreads) {
        const int token = e / kRows;
        if (token_ + n * kTileTokens + token >= call.tokens) break;  // tokens come in order
        deliver(thread, call, token_ + n * kTileTokens + token, sums_.tile * kTileRows + e % kRows,
                sum_of_warps(thread, e, 0));
      }
      thread.sync();
    }
  }

  int warp_;
  int token_;
  Sums sums_;
};

}  // namespace lowbit::kernels::cuda
