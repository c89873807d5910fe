#pragma once

#include "kernels/cuda/hopper_bytes_input.h"
#include "kernels/cuda/load_eight.h"
#include "kernels/cuda/output.h"
#include "kernels/cuda/rows.h"
#include "kernels/cuda/runs.h"

// Activations rounded to integers as `Arithmetic::kInt8` and `kInt16` define it, bit for bit, and arranged for the
// integer product: the columns of a weight's places, four side by side in the order of `byte_of_column`.
namespace lowbit::kernels::cuda {

/// What is rounded to integers: numbers as they lie, rows of them normalised as `NormRows` defines it, or silu(gate)
/// up. The latter two, of bfloat16, are rounded to bfloat16 first, as they would be between two kernels.
enum class RowsToRound : std::int32_t { kPlain, kNormed, kGated };

struct QuantizeCall {
  const void* input;  ///< [tokens][stride] of `kind`
  NumberKind kind;
  std::int64_t stride;
  std::int32_t tokens;
  std::int32_t columns;
  const std::int32_t* sources;  ///< as `Packed::sources_at`
  std::int32_t steps;
  std::int32_t groups;
  std::int32_t group_steps;
  std::int8_t* bytes;  ///< [planes][tokens][steps * 32]: the integer, or its high and low part
  float* scales;       ///< one plane: [tokens]; two: [tokens][runs]
  std::int32_t* sums;  ///< of the integers: [tokens][runs]
  /// Of one plane for `HopperBytes`: bytes are [blocks of so many tokens][chunks][operands] as hopper_bytes_input.h
  /// lays them out, zero in the steps that the last chunk lacks and as they were for tokens that there are not; 0: as
  /// above.
  std::int32_t block_tokens = 0;
  std::int32_t* totals = nullptr;  ///< sums of a token's integers: [tokens]; with `block_tokens`
  /// Of one plane, of columns that have not moved.
  RowsToRound rows = RowsToRound::kPlain;
  const std::uint16_t* other = nullptr;  ///< kNormed: the norm's weight, [columns]; kGated: up, as `input`, the gate
  float epsilon = 0.0F;                  ///< of the norm
};

inline constexpr int kQuantizeThreads = 256;

/// Two planes: an integer up to 32639 in magnitude is 256 high + low, both of which are bytes with a sign. So many
/// warps take a token; no bit depends on how many. A thread takes eight places side by side at once, and keeps the
/// first four of these in registers, so that they are read once.
template <int kPlanes, int kTokenWarps, RowsToRound kRows = RowsToRound::kPlain>
class Quantize {
  static_assert(kRows == RowsToRound::kPlain || kPlanes == 1);

 public:
  static constexpr int kThreads = kQuantizeThreads;
  static constexpr int kResidentBlocks = 2;
  static constexpr int kTokenThreads = kTokenWarps * kLanes;
  static constexpr int kTokens = kThreads / kTokenThreads;  ///< of a block

  static constexpr int shared_words(int steps) { return kTokens * (kTokenWarps + kPlanes * steps); }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const QuantizeCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    Quantize own(thread, call);
    Eight kept[kKept] = {};
    if constexpr (kRows == RowsToRound::kNormed) own.find_norm(thread, call);
    own.find_largest(thread, call, kept);
    thread.sync();
    own.store_integers(thread, call, kept);
    thread.sync();
    if constexpr (kPlanes == 1) {
      if (call.block_tokens > 0) return own.complete_layout(thread, call);
    }
    own.store_runs(thread, call);
  }

 private:
  static constexpr int kKept = 4;
  static constexpr float kLargest = kPlanes == 1 ? 127.0F : 32639.0F;
  static constexpr std::uint32_t kInfinity = 0x7F800000U;

  template <typename Thread>
  LOWBIT_HOST_DEVICE Quantize(Thread& thread, const QuantizeCall& call)
      : within_(thread.index() % kTokenThreads),
        token_(thread.block(0) * kTokens + thread.index() / kTokenThreads),
        present_(token_ < call.tokens),
        warps_at_(thread.index() / kTokenThreads * (kTokenWarps + kPlanes * call.steps)),
        sums_at_(warps_at_ + kTokenWarps),
        steps_at_(sums_at_ + call.steps) {}

  LOWBIT_HOST_DEVICE static int eights(const QuantizeCall& call) { return call.steps * (kStepColumns / 8); }

  template <typename Thread>
  LOWBIT_HOST_DEVICE Eight load(Thread& thread, const QuantizeCall& call, int eight) const {
    const std::int64_t row = token_ * call.stride;
    Eight result = load_row(thread, call, call.input, row, eight);
    if constexpr (kRows != RowsToRound::kPlain) {
      constexpr bool kNormed = kRows == RowsToRound::kNormed;
      const Eight other = load_row(thread, call, call.other, kNormed ? 0 : row, eight);
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) {
        const float x = result.x[i];
        const float made = kNormed ? x * norm_scale_ * other.x[i] : GateRows::gated(x, other.x[i]);
        result.x[i] = bfloat16_as_float(as_bfloat16(made));
      }
    }
    return result;
  }
  // Eight numbers of a row, which begins with number `row` of `base`.
  template <typename Thread>
  LOWBIT_HOST_DEVICE Eight load_row(Thread& thread, const QuantizeCall& call, const void* base, std::int64_t row,
                                    int eight) const {
    Eight result = {};
    if (!present_ || eight >= eights(call)) return result;
    const int place = eight * 8;
    const auto address = reinterpret_cast<std::uintptr_t>(address_of(call.kind, base, row + place));
    if (call.sources == nullptr && place + 8 <= call.columns && address % 16 == 0) {
      return load_eight(thread, call.kind, base, row + place);
    }
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) result.x[i] = value_at(call, base, row, place + i);
    return result;
  }
  LOWBIT_HOST_DEVICE float value_at(const QuantizeCall& call, const void* base, std::int64_t row, int place) const {
    const int column = call.sources != nullptr ? call.sources[place] : place;
    if (column < 0 || column >= call.columns) return 0.0F;
    return load_number(call.kind, base, row + column);
  }

  // Threads' sums of squares are joined by warps in a tree and then in the order of warps.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void find_norm(Thread& thread, const QuantizeCall& call) {
    float sum = 0.0F;
    for (int eight = within_; eight < eights(call); eight += kTokenThreads) {
      const Eight x = load_row(thread, call, call.input, token_ * call.stride, eight);
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) sum = fused(x.x[i], x.x[i], sum);
    }
    LOWBIT_UNROLL
    for (int mask = kLanes / 2; mask > 0; mask /= 2) sum += thread.shuffle_xor(sum, mask);
    auto shared = thread.template shared<float>();
    if (within_ % kLanes == 0) shared.store(warps_at_ + within_ / kLanes, sum);
    thread.sync();
    sum = shared.load(warps_at_);
    LOWBIT_UNROLL
    for (int w = 1; w < kTokenWarps; ++w) sum += shared.load(warps_at_ + w);
    thread.sync();  // what was there is replaced
    const float mean = quotient(sum, static_cast<float>(call.columns));
    norm_scale_ = quotient(1.0F, square_root(mean + call.epsilon));
  }

  // `use(number of an eight, its values)` for all that the thread takes; the first ones are kept, or were.
  template <bool kLoads, typename Thread, typename Use>
  LOWBIT_HOST_DEVICE void for_eights(Thread& thread, const QuantizeCall& call, Eight (&kept)[kKept],
                                     const Use& use) const {
    LOWBIT_UNROLL
    for (int k = 0; k < kKept; ++k) {
      if (k * kTokenThreads >= eights(call)) return;
      if constexpr (kLoads) kept[k] = load(thread, call, within_ + k * kTokenThreads);
      use(within_ + k * kTokenThreads, kept[k]);
    }
    for (int base = kKept * kTokenThreads; base < eights(call); base += kTokenThreads) {
      use(within_ + base, load(thread, call, within_ + base));
    }
  }

  // As bits without a sign they are ordered like magnitudes, and infinities and NaN are above all others.
  LOWBIT_HOST_DEVICE static std::uint32_t magnitude(float value) { return bits_of_float(value) & 0x7FFFFFFFU; }
  LOWBIT_HOST_DEVICE static std::uint32_t larger(std::uint32_t a, std::uint32_t b) { return a > b ? a : b; }

  // Of the token by warps, or of each step.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void find_largest(Thread& thread, const QuantizeCall& call, Eight (&kept)[kKept]) const {
    auto shared = thread.template shared<std::uint32_t>();
    std::uint32_t of_warp = 0;
    for_eights<true>(thread, call, kept, [&](int eight, const Eight& values) {
      std::uint32_t largest = 0;
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) largest = larger(largest, magnitude(values.x[i]));
      if constexpr (kPlanes == 1) {
        of_warp = larger(of_warp, largest);
      } else {
        LOWBIT_UNROLL
        for (int mask = 1; mask < 4; mask *= 2) largest = larger(largest, thread.shuffle_xor(largest, mask));
        if (eight % 4 == 0 && eight < eights(call)) shared.store(steps_at_ + eight / 4, largest);
      }
    });
    if constexpr (kPlanes == 1) {
      LOWBIT_UNROLL
      for (int mask = kLanes / 2; mask > 0; mask /= 2) of_warp = larger(of_warp, thread.shuffle_xor(of_warp, mask));
      if (within_ % kLanes == 0) shared.store(warps_at_ + within_ / kLanes, of_warp);
    }
  }

  LOWBIT_HOST_DEVICE static float scale_of(std::uint32_t largest) {
    if (largest >= kInfinity) return float_from_bits(0x7FC00000U);
    const float scale = quotient(float_from_bits(largest), kLargest);
    return scale > 0x1p-126F ? scale : 0x1p-126F;
  }
  template <typename Thread>
  LOWBIT_HOST_DEVICE float scale_of_token(Thread& thread) const {
    const auto shared = thread.template shared<std::uint32_t>();
    std::uint32_t largest = 0;
    LOWBIT_UNROLL
    for (int w = 0; w < kTokenWarps; ++w) largest = larger(largest, shared.load(warps_at_ + w));
    return scale_of(largest);
  }
  template <typename Thread>
  LOWBIT_HOST_DEVICE float scale_of_run(Thread& thread, const RunSteps& steps) const {
    const auto shared = thread.template shared<std::uint32_t>();
    std::uint32_t largest = 0;
    for (int s = 0; s < steps.count; ++s) largest = larger(largest, shared.load(steps_at_ + steps.first + s));
    return scale_of(largest);
  }
  LOWBIT_HOST_DEVICE static int run_of_step(const QuantizeCall& call, int step) {
    return step / call.group_steps * runs_of_group(call.group_steps) + step % call.group_steps / kRunSteps;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void store_integers(Thread& thread, const QuantizeCall& call, Eight (&kept)[kKept]) const {
    auto sums = thread.template shared<std::int32_t>();
    float scale = 0.0F;
    if constexpr (kPlanes == 1) {
      scale = scale_of_token(thread);
      if (within_ == 0 && present_) call.scales[token_] = scale;
    }
    for_eights<false>(thread, call, kept, [&](int eight, const Eight& values) {
      const int step = eight / 4;
      const bool there = eight < eights(call);
      if constexpr (kPlanes == 2) {
        if (there) {
          scale = scale_of_run(thread, RunSteps(run_of_step(call, step), call.group_steps, call.steps));
        }
      }
      std::int32_t sum = store_eight_integers(call, eight, there && present_, values, scale);
      LOWBIT_UNROLL
      for (int mask = 1; mask < 4; mask *= 2) sum += thread.shuffle_xor(sum, mask);
      if (eight % 4 == 0 && there) sums.store(sums_at_ + step, sum);
    });
  }

  // Gives their sum.
  LOWBIT_HOST_DEVICE std::int32_t store_eight_integers(const QuantizeCall& call, int eight, bool stores,
                                                       const Eight& values, float scale) const {
    std::int32_t sum = 0;
    std::uint32_t low[2] = {};
    std::uint32_t high[2] = {};
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) {
      // A scale that is no number makes zeros, and a result that is none.
      const std::int32_t q = scale == scale ? nearest_integer(quotient(values.x[i], scale)) : 0;
      const auto byte = static_cast<std::int8_t>(q);
      sum += q;
      low[i / 4] |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(byte)) << (8 * byte_of_column(i % 4));
      const auto rest = static_cast<std::uint8_t>((q - byte) / 256);
      high[i / 4] |= static_cast<std::uint32_t>(rest) << (8 * byte_of_column(i % 4));
    }
    if (!stores) return sum;
    if constexpr (kPlanes == 1) {
      if (call.block_tokens > 0) {
        lay_out(call, eight, low);
        return sum;
      }
    }
    const std::int64_t width = std::int64_t{call.steps} * kStepColumns;
    std::int8_t* to = call.bytes + token_ * width + eight * 8;
    if constexpr (kPlanes == 2) {
      *reinterpret_cast<std::uint64_t*>(to) = high[0] | std::uint64_t{high[1]} << 32;
      to += call.tokens * width;
    }
    *reinterpret_cast<std::uint64_t*>(to) = low[0] | std::uint64_t{low[1]} << 32;
    return sum;
  }

  // Each four of the eight places, which are side by side in the operand too.
  LOWBIT_HOST_DEVICE void lay_out(const QuantizeCall& call, int eight, const std::uint32_t (&fours)[2]) const {
    const int step = eight / 4;
    const int chunks = (call.steps + kChunkSteps - 1) / kChunkSteps;
    const std::int64_t block = std::int64_t{token_ / call.block_tokens} * chunks + step / kChunkSteps;
    std::int8_t* operands = call.bytes + block * call.block_tokens * (kChunkSteps * kByteDepth);
    LOWBIT_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int depth = byte_depth_of_place(step % kChunkSteps * kStepColumns + eight % 4 * 8 + i * 4);
      const std::int64_t at = byte_operand_offset(call.block_tokens, token_ % call.block_tokens, depth);
      *reinterpret_cast<std::uint32_t*>(operands + at) = fours[i];
    }
  }

  // What a product of whole chunks needs beside its numbers: zeros behind the last step, and the token's sum.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void complete_layout(Thread& thread, const QuantizeCall& call) const {
    const int end = (call.steps + kChunkSteps - 1) / kChunkSteps * kChunkSteps * (kStepColumns / 8);
    for (int eight = eights(call) + within_; present_ && eight < end; eight += kTokenThreads)
      lay_out(call, eight, {0, 0});
    if (within_ >= kLanes) return;
    const auto sums = thread.template shared<std::int32_t>();
    std::int32_t total = 0;
    for (int s = within_; s < call.steps; s += kLanes) total += sums.load(sums_at_ + s);
    LOWBIT_UNROLL
    for (int mask = kLanes / 2; mask > 0; mask /= 2) total += thread.shuffle_xor(total, mask);
    if (within_ == 0 && present_) call.totals[token_] = total;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void store_runs(Thread& thread, const QuantizeCall& call) const {
    if (!present_) return;
    const auto sums = thread.template shared<std::int32_t>();
    const int runs = runs_of(call.groups, call.group_steps);
    for (int r = within_; r < runs; r += kTokenThreads) {
      const RunSteps steps(r, call.group_steps, call.steps);
      std::int32_t sum = 0;
      for (int s = 0; s < steps.count; ++s) sum += sums.load(sums_at_ + steps.first + s);
      call.sums[std::int64_t{token_} * runs + r] = sum;
      if constexpr (kPlanes == 2) call.scales[std::int64_t{token_} * runs + r] = scale_of_run(thread, steps);
    }
  }

  int within_;  // the thread's number among the token's
  int token_;
  bool present_;
  // In shared memory: the largest magnitude of each warp, sums of steps, and their largest magnitudes.
  int warps_at_;
  int sums_at_;
  int steps_at_;
  float norm_scale_ = 0.0F;  // of the token's row
};

}  // namespace lowbit::kernels::cuda
