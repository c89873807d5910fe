#pragma once

#include "kernels/cuda/chunk.h"
#include "kernels/cuda/output.h"
#include "kernels/cuda/runs.h"
#include "kernels/cuda/scales.h"
#include "kernels/cuda/stream.h"

// `Arithmetic::kInt8` and `kInt16` on a GPU, with the CPU's bits: sums of integers are exact in any order, and what is
// left in float32 is the same chain over runs and groups.
namespace lowbit::kernels::cuda {

struct IntegerProduct {
  Matrix weight;
  const std::int8_t* bytes;  ///< as QuantizeCall
  const float* scales;
  const std::int32_t* sums;
  std::int32_t tokens;
  Target output;
  // Of `HopperBytes`: as `SharedTiles` has them.
  Stream stream = {};
  std::int32_t* partials = nullptr;
  std::uint32_t* arrivals = nullptr;
};

inline constexpr int kIntegerWarps = 8;
inline constexpr int kIntegerThreads = kIntegerWarps * kLanes;

/// A block makes 16 rows. In each round every warp takes a chunk of columns; the sums of its runs go to shared memory,
/// where the first 128 threads, one an output, take them up in order.
template <int kBits, int kPlanes, int kTokenTiles>
class Integer {
 public:
  static constexpr int kThreads = kIntegerThreads;
  static constexpr int kResidentBlocks = 2;
  static constexpr int kTokens = kTokenTiles * 8;
  static constexpr int kStride = kTileRows + 4;  // 32 banks for the lanes of a warp
  static constexpr int kSlotWords = 8 * kStride;

  /// Sums that a chunk leaves: one for each run that it holds a part of.
  LOWBIT_HOST_DEVICE static constexpr int slots(int group_steps) { return group_steps % kChunkSteps == 0 ? 1 : 4; }
  LOWBIT_HOST_DEVICE static constexpr int shared_words(int group_steps) {
    return kIntegerWarps * slots(group_steps) * kTokenTiles * kSlotWords;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const IntegerProduct& call) {
    Integer part(thread, call);
    thread.allow_next_grid();
    part.work(thread, call);
  }

 private:
  static constexpr int kDepth = kBits == 8 || kTokenTiles > 1 ? 2 : 4;

  template <typename Thread>
  LOWBIT_HOST_DEVICE Integer(Thread& thread, const IntegerProduct& call)
      : warp_(thread.index() / kLanes),
        lane_(thread.index() % kLanes),
        tile_(thread.block(0)),
        token_(thread.block(1) * kTokens),
        slots_(slots(call.weight.group_steps)),
        whole_(kPlanes == 1 && call.weight.groups == 1) {}

  template <typename Thread>
  LOWBIT_HOST_DEVICE void work(Thread& thread, const IntegerProduct& call) {
    Codes<kBits> ring[kDepth] = {};
    LOWBIT_UNROLL
    for (int d = 0; d < kDepth; ++d) load(thread, call, d, ring[d]);
    thread.wait_for_previous_grid();
    const int rounds = (chunks_of(call.weight) + kIntegerWarps - 1) / kIntegerWarps;
    for (int base = 0; base < rounds; base += kDepth) {
      LOWBIT_UNROLL
      for (int d = 0; d < kDepth; ++d) {
        const int round = base + d;
        if (round >= rounds) break;
        add_chunk(thread, call, round, ring[d], round + 1 == rounds);
        load(thread, call, round + kDepth, ring[d]);
        if (whole_ && round + 1 < rounds) continue;
        thread.sync();
        if (whole_) {
          take_up_whole(thread, call);
        } else {
          take_up(thread, call, round);
        }
        thread.sync();
      }
    }
    store(thread, call);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void load(Thread& thread, const IntegerProduct& call, int round, Codes<kBits>& target) const {
    const int chunk = round * kIntegerWarps + warp_;
    if (chunk < chunks_of(call.weight)) target = load_codes<kBits>(thread, call.weight, tile_, chunk, lane_);
  }

  // A warp without a chunk in the last round leaves what it has gathered when the whole row is one sum.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_chunk(Thread& thread, const IntegerProduct& call, int round, const Codes<kBits>& codes,
                                    bool last_round) {
    const int chunk = round * kIntegerWarps + warp_;
    const int steps = call.weight.steps;
    RunCursor cursor(chunk * kChunkSteps, call.weight.group_steps);
    int slot = 0;
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      const int step = chunk * kChunkSteps + s;
      if (step >= steps) break;
      add_step(thread, call, step, s, codes);
      const bool leaves = cursor.ends_run() || s + 1 == kChunkSteps || step + 1 == steps;
      cursor.advance(call.weight.group_steps);
      if (whole_ || !leaves) continue;
      leave(thread, slot++);
    }
    if (whole_ && last_round) leave(thread, 0);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_step(Thread& thread, const IntegerProduct& call, int step, int in_chunk,
                                   const Codes<kBits>& codes) {
    std::uint32_t a[4];
    LOWBIT_UNROLL
    for (int reg = 0; reg < 4; ++reg) a[reg] = code_bytes<kBits>(codes, in_chunk, reg);
    const std::int64_t width = std::int64_t{call.weight.steps} * kStepColumns;
    LOWBIT_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      const int token = token_ + n * 8 + lane_ / 4;
      LOWBIT_UNROLL
      for (int p = 0; p < kPlanes; ++p) {
        Word2 b = {};
        if (token < call.tokens) {
          const std::int64_t row = std::int64_t{p} * call.tokens + token;
          b = thread.read8(call.bytes + row * width + step * kStepColumns + lane_ % 4 * 8);
        }
        thread.multiply_add_bytes(sums_[p][n], a, b.x[0], b.x[1]);
      }
    }
  }

  LOWBIT_HOST_DEVICE int slot_at(int warp, int slot, int n) const {
    return ((warp * slots_ + slot) * kTokenTiles + n) * kSlotWords;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void leave(Thread& thread, int slot) {
    auto shared = thread.template shared<std::int32_t>();
    LOWBIT_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      LOWBIT_UNROLL
      for (int i = 0; i < 4; ++i) {
        std::int32_t sum = sums_[0][n][i];
        if constexpr (kPlanes == 2) sum = sum * 256 + sums_[1][n][i];
        const int token = lane_ % 4 * 2 + i % 2;
        shared.store(slot_at(warp_, slot, n) + token * kStride + lane_ / 4 + i / 2 * 8, sum);
        LOWBIT_UNROLL
        for (int p = 0; p < kPlanes; ++p) sums_[p][n][i] = 0;
      }
    }
  }

  // The output of this thread: none for those behind the first 128, and for rows and tokens that are not there.
  template <typename Thread>
  LOWBIT_HOST_DEVICE bool owns(Thread& thread, const IntegerProduct& call, int n) const {
    const int e = thread.index();
    return e < kTileRows * 8 && tile_ * kTileRows + e % kTileRows < call.weight.rows &&
           token_ + n * 8 + e / kTileRows < call.tokens;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void take_up(Thread& thread, const IntegerProduct& call, int round) {
    auto shared = thread.template shared<std::int32_t>();
    const int place = thread.index() / kTileRows * kStride + thread.index() % kTileRows;
    const int first = round * kIntegerWarps * kChunkSteps;
    const int end = first + kIntegerWarps * kChunkSteps < call.weight.steps ? first + kIntegerWarps * kChunkSteps
                                                                            : call.weight.steps;
    RunCursor cursor(first, call.weight.group_steps);
    int slot = 0;
    for (int step = first; step < end; ++step) {
      const bool ends_chunk = step % kChunkSteps + 1 == kChunkSteps || step + 1 == call.weight.steps;
      const bool ends_run = cursor.ends_run() || step + 1 == call.weight.steps;
      if (ends_run || ends_chunk) {
        const int warp = (step - first) / kChunkSteps;
        LOWBIT_UNROLL
        for (int n = 0; n < kTokenTiles; ++n) {
          if (!owns(thread, call, n)) continue;
          open_[n] += shared.load(slot_at(warp, slot, n) + place);
          if (ends_run) close_run(thread, call, n, cursor, cursor.ends_group() || step + 1 == call.weight.steps);
        }
        slot = ends_chunk ? 0 : slot + 1;
      }
      cursor.advance(call.weight.group_steps);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void take_up_whole(Thread& thread, const IntegerProduct& call) {
    auto shared = thread.template shared<std::int32_t>();
    const int place = thread.index() / kTileRows * kStride + thread.index() % kTileRows;
    RunCursor cursor(0, call.weight.group_steps);
    LOWBIT_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      if (!owns(thread, call, n)) continue;
      for (int w = 0; w < kIntegerWarps; ++w) open_[n] += shared.load(slot_at(w, 0, n) + place);
      const int runs = runs_of_group(call.weight.group_steps);
      for (cursor.in_group = 0; cursor.in_group < runs; ++cursor.in_group) {
        close_run(thread, call, n, cursor, cursor.in_group + 1 == runs);
      }
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void close_run(Thread& thread, const IntegerProduct& call, int n, const RunCursor& cursor,
                                    bool ends_group) {
    const int row = thread.index() % kTileRows;
    const int token = token_ + n * 8 + thread.index() / kTileRows;
    const Matrix& weight = call.weight;
    const int runs = runs_of(weight.groups, weight.group_steps);
    const std::int64_t run =
        std::int64_t{token} * runs + cursor.group * runs_of_group(weight.group_steps) + cursor.in_group;
    const std::int64_t at = (std::int64_t{tile_} * weight.groups + cursor.group) * kTileRows + scale_place(row);
    open_[n] -= zero_of(weight, at) * call.sums[run];
    if constexpr (kPlanes == 2) {
      chain_[n] = fused(static_cast<float>(open_[n]) * scale_of(weight, at), call.scales[run], chain_[n]);
      open_[n] = 0;
    } else if (ends_group) {
      chain_[n] = fused(static_cast<float>(open_[n]), scale_of(weight, at), chain_[n]);
      open_[n] = 0;
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void store(Thread& thread, const IntegerProduct& call) const {
    LOWBIT_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      if (!owns(thread, call, n)) continue;
      const int token = token_ + n * 8 + thread.index() / kTileRows;
      const float y = kPlanes == 1 ? chain_[n] * call.scales[token] : chain_[n];
      call.output.store(token, tile_ * kTileRows + thread.index() % kTileRows, y);
    }
  }

  int warp_;
  int lane_;
  int tile_;
  int token_;
  int slots_;
  bool whole_;  ///< one group a row and one plane: nothing is taken up before the end
  std::int32_t sums_[kPlanes][kTokenTiles][4] = {};
  std::int32_t open_[kTokenTiles] = {};
  float chain_[kTokenTiles] = {};
};

}  // namespace lowbit::kernels::cuda
