#pragma once

#include "kernels/cuda/integer.h"

// `Integer`'s products of up to eight tokens, with the same bits: weights go straight into registers, and no warp waits
// for another until all columns are read.
namespace lowbit::kernels::cuda {

inline constexpr int kSkinnyIntegerWarps = 4;

/// A block makes 16 rows. An output is a float32 chain over links: groups, or with two planes runs. Warps take chunks
/// of columns in turn and add what each gives of a link to that link's integer in shared memory; such sums are exact in
/// any order. Then all threads make floats of the links, and one thread an output takes them up in order.
template <int kBits, int kPlanes>
class SkinnyInteger {
 public:
  static constexpr int kThreads = kSkinnyIntegerWarps * kLanes;
  static constexpr int kResidentBlocks = 6;
  static constexpr int kTokens = 8;

  /// Links that have columns.
  LOWBIT_HOST_DEVICE static constexpr int links(const Matrix& weight) {
    if (kPlanes == 1) return weight.groups;
    const int last_steps = weight.steps - (weight.groups - 1) * weight.group_steps;
    return (weight.groups - 1) * runs_of_group(weight.group_steps) + (last_steps + kRunSteps - 1) / kRunSteps;
  }
  /// Shared memory with which two blocks of a multiprocessor hold what the links of a product need.
  static constexpr std::size_t kMostLinkBytes = std::size_t{96} << 10;
  static bool takes(const Matrix& weight, int tokens) {
    return tokens <= kTokens && shared_words(weight, tokens) * sizeof(float) <= kMostLinkBytes;
  }
  /// A link's integers, and a scale for each row or token.
  LOWBIT_HOST_DEVICE static constexpr int shared_words(const Matrix& weight, int tokens) {
    return links(weight) * kTileRows * ((tokens < kTokens ? tokens : kTokens) + 1);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const IntegerProduct& call) {
    SkinnyInteger part(thread, call);
    thread.allow_next_grid();
    part.add_chunks(thread, call);
    thread.sync();
    part.make_floats(thread, call);
    thread.sync();
    part.take_up(thread, call);
  }

 private:
  static constexpr int kDepth = kBits == 8 || kPlanes == 2 ? 2 : 4;

  template <typename Thread>
  LOWBIT_HOST_DEVICE SkinnyInteger(Thread& thread, const IntegerProduct& call)
      : warp_(thread.index() / kLanes),
        lane_(thread.index() % kLanes),
        tile_(thread.block(0)),
        token_(thread.block(1) * kTokens),
        stride_(call.tokens < kTokens ? call.tokens : kTokens),
        tokens_(call.tokens - token_ < kTokens ? call.tokens - token_ : kTokens),
        links_(links(call.weight)),
        aligned_(call.weight.group_steps % kChunkSteps == 0 || (kPlanes == 1 && call.weight.groups == 1)) {}

  LOWBIT_HOST_DEVICE int place(int link, int token, int row) const {
    return (link * stride_ + token) * kTileRows + row;
  }
  LOWBIT_HOST_DEVICE int scale_at(int link, int index) const {
    return links_ * stride_ * kTileRows + link * kTileRows + index;
  }

  // Where a chunk lies within one link: its number.
  LOWBIT_HOST_DEVICE static int link_of_chunk(const Matrix& weight, const ChunkGroup& group_of, int chunk) {
    if (weight.groups == 1 && kPlanes == 1) return 0;
    const int group = group_of(chunk);
    if constexpr (kPlanes == 1) return group;
    const int in_group = chunk - group * (weight.group_steps / kChunkSteps);
    return group * runs_of_group(weight.group_steps) + in_group / (kRunSteps / kChunkSteps);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_chunks(Thread& thread, const IntegerProduct& call) {
    const int chunks = chunks_of(call.weight);
    Codes<kBits> ring[kDepth] = {};
    const auto load = [&](int chunk, Codes<kBits>& target) {
      if (chunk < chunks) target = load_codes<kBits>(thread, call.weight, tile_, chunk, lane_);
    };
    LOWBIT_UNROLL
    for (int d = 0; d < kDepth; ++d) load(warp_ + d * kSkinnyIntegerWarps, ring[d]);
    auto shared = thread.template shared<std::int32_t>();
    for (int e = thread.index(); e < links_ * stride_ * kTileRows; e += kThreads) shared.store(e, 0);
    thread.sync();
    thread.wait_for_previous_grid();
    const ChunkGroup group_of(call.weight);
    for (int base = warp_; base < chunks; base += kDepth * kSkinnyIntegerWarps) {
      LOWBIT_UNROLL
      for (int d = 0; d < kDepth; ++d) {
        const int chunk = base + d * kSkinnyIntegerWarps;
        if (chunk >= chunks) break;
        if (aligned_) {
          add_whole(thread, call, group_of, chunk, ring[d]);
        } else {
          add_pieces(thread, call, chunk, ring[d]);
        }
        load(chunk + kDepth * kSkinnyIntegerWarps, ring[d]);
      }
    }
  }

  // A chunk of one link; what the warp's next chunk goes on with stays in registers.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_whole(Thread& thread, const IntegerProduct& call, const ChunkGroup& group_of, int chunk,
                                    const Codes<kBits>& codes) {
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      if (chunk * kChunkSteps + s < call.weight.steps) add_step(thread, call, chunk * kChunkSteps + s, s, codes);
    }
    const int link = link_of_chunk(call.weight, group_of, chunk);
    const int next = chunk + kSkinnyIntegerWarps;
    if (next < chunks_of(call.weight) && link_of_chunk(call.weight, group_of, next) == link) return;
    leave(thread, link);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_pieces(Thread& thread, const IntegerProduct& call, int chunk, const Codes<kBits>& codes) {
    const Matrix& weight = call.weight;
    RunCursor cursor(chunk * kChunkSteps, weight.group_steps);
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      const int step = chunk * kChunkSteps + s;
      if (step >= weight.steps) break;
      add_step(thread, call, step, s, codes);
      const int link = kPlanes == 1 ? cursor.group : cursor.group * runs_of_group(weight.group_steps) + cursor.in_group;
      const bool ends = kPlanes == 1 ? cursor.ends_group() : cursor.ends_run();
      if (ends || s + 1 == kChunkSteps || step + 1 == weight.steps) leave(thread, link);
      cursor.advance(weight.group_steps);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_step(Thread& thread, const IntegerProduct& call, int step, int in_chunk,
                                   const Codes<kBits>& codes) {
    std::uint32_t a[4];
    LOWBIT_UNROLL
    for (int reg = 0; reg < 4; ++reg) a[reg] = code_bytes<kBits>(codes, in_chunk, reg);
    const std::int64_t width = std::int64_t{call.weight.steps} * kStepColumns;
    LOWBIT_UNROLL
    for (int p = 0; p < kPlanes; ++p) {
      Word2 b = {};
      if (lane_ / 4 < tokens_) {
        const std::int64_t row = std::int64_t{p} * call.tokens + token_ + lane_ / 4;
        b = thread.read8(call.bytes + row * width + step * kStepColumns + lane_ % 4 * 8);
      }
      thread.multiply_add_bytes(sums_[p], a, b.x[0], b.x[1]);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void leave(Thread& thread, int link) {
    auto shared = thread.template shared<std::int32_t>();
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      std::int32_t sum = sums_[0][i];
      if constexpr (kPlanes == 2) sum = sum * 256 + sums_[1][i];
      const int token = lane_ % 4 * 2 + i % 2;
      if (token < tokens_) shared.add(place(link, token, lane_ / 4 + i / 2 * 8), sum);
      LOWBIT_UNROLL
      for (int p = 0; p < kPlanes; ++p) sums_[p][i] = 0;
    }
  }

  // Of each link the number and the scale that the chain multiplies, whatever the other links are.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void make_floats(Thread& thread, const IntegerProduct& call) const {
    auto integers = thread.template shared<std::int32_t>();
    auto shared = thread.template shared<float>();
    const Matrix& weight = call.weight;
    const int in_group = runs_of_group(weight.group_steps);
    const int runs = runs_of(weight.groups, weight.group_steps);
    for (int e = thread.index(); e < links_ * stride_ * kTileRows; e += kThreads) {
      const int row = e % kTileRows;
      const int token = e / kTileRows % stride_;
      if (token >= tokens_) continue;
      const int link = e / kTileRows / stride_;
      const int group = kPlanes == 1 ? link : link / in_group;
      const std::int64_t at = (std::int64_t{tile_} * weight.groups + group) * kTileRows + scale_place(row);
      const std::int32_t zero = zero_of(weight, at);
      const float scale = scale_of(weight, at);
      const std::int64_t first_run = std::int64_t{token_ + token} * runs + (kPlanes == 1 ? link * in_group : link);
      std::int32_t open = integers.load(e);
      for (int r = 0; zero != 0 && r < (kPlanes == 1 ? in_group : 1); ++r) open -= zero * call.sums[first_run + r];
      if constexpr (kPlanes == 1) {
        shared.store(e, static_cast<float>(open));
        if (token == 0) shared.store(scale_at(link, row), scale);
      } else {
        shared.store(e, static_cast<float>(open) * scale);
        if (row == 0) shared.store(scale_at(link, token), call.scales[first_run]);
      }
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void take_up(Thread& thread, const IntegerProduct& call) const {
    const auto shared = thread.template shared<float>();
    const int row = thread.index() % kTileRows;
    const int token = thread.index() / kTileRows;
    if (token >= tokens_ || tile_ * kTileRows + row >= call.weight.rows) return;
    float chain = 0.0F;
    for (int link = 0; link < links_; ++link) {
      chain =
          fused(shared.load(place(link, token, row)), shared.load(scale_at(link, kPlanes == 1 ? row : token)), chain);
    }
    const float y = kPlanes == 1 ? chain * call.scales[token_ + token] : chain;
    call.output.store(token_ + token, tile_ * kTileRows + row, y);
  }

  int warp_;
  int lane_;
  int tile_;
  int token_;
  int stride_;  // of a link's tokens in shared memory
  int tokens_;  // of this block
  int links_;
  bool aligned_;  // every chunk lies within one link
  std::int32_t sums_[kPlanes][4] = {};
};

}  // namespace lowbit::kernels::cuda
