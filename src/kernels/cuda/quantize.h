#pragma once

#include "kernels/cuda/rows.h"
#include "kernels/cuda/runs.h"
#include "kernels/cuda/token_rows.h"

// Activations rounded to integers as `Arithmetic::kInt8` and `kInt16` define it, bit for bit, and arranged for the
// integer product: the columns of a weight's places, four side by side in the order of `byte_of_column`.
namespace lowbit::kernels::cuda {

/// What is rounded to integers: numbers as they lie, rows of them normalised as `NormRows` defines it, or silu(gate)
/// up. The latter two, of bfloat16, are rounded to bfloat16 first, as they would be between two kernels.
enum class RowsToRound : std::int32_t { kPlain, kNormed, kGated };

struct QuantizeCall : TokenRowsCall {
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

/// Two planes: an integer up to 32639 in magnitude is 256 high + low, both of which are bytes with a sign.
template <int kPlanes, int kTokenWarps, RowsToRound kRows = RowsToRound::kPlain>
class Quantize : TokenRows<kTokenWarps> {
  static_assert(kRows == RowsToRound::kPlain || kPlanes == 1);
  using Rows = TokenRows<kTokenWarps>;

 public:
  using Rows::kResidentBlocks;
  using Rows::kThreads;
  using Rows::kTokens;
  using Rows::kTokenThreads;

  static constexpr int shared_words(int steps) { return kTokens * words_of_token(steps); }

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
  using Rows::eights;
  using Rows::kKept;
  using Rows::present_;
  using Rows::token_;
  using Rows::warps_at_;
  using Rows::within_;
  static constexpr float kLargest = kPlanes == 1 ? 127.0F : 32639.0F;

  LOWBIT_HOST_DEVICE static constexpr int words_of_token(int steps) { return kTokenWarps + kPlanes * steps; }

  template <typename Thread>
  LOWBIT_HOST_DEVICE Quantize(Thread& thread, const QuantizeCall& call)
      : Rows(thread, call, words_of_token(call.steps)),
        sums_at_(warps_at_ + kTokenWarps),
        steps_at_(sums_at_ + call.steps) {}

  template <typename Thread>
  LOWBIT_HOST_DEVICE Eight load(Thread& thread, const QuantizeCall& call, int eight) const {
    const std::int64_t row = token_ * call.stride;
    Eight result = Rows::load_row(thread, call, call.input, row, eight);
    if constexpr (kRows != RowsToRound::kPlain) {
      constexpr bool kNormed = kRows == RowsToRound::kNormed;
      const Eight other = Rows::load_row(thread, call, call.other, kNormed ? 0 : row, eight);
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) {
        const float x = result.x[i];
        const float made = kNormed ? x * norm_scale_ * other.x[i] : GateRows::gated(x, other.x[i]);
        result.x[i] = bfloat16_as_float(as_bfloat16(made));
      }
    }
    return result;
  }

  // Threads' sums of squares are joined by warps in a tree and then in the order of warps.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void find_norm(Thread& thread, const QuantizeCall& call) {
    float sum = 0.0F;
    for (int eight = within_; eight < eights(call); eight += kTokenThreads) {
      const Eight x = Rows::load_row(thread, call, call.input, token_ * call.stride, eight);
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

  // As `TokenRows` does.
  template <bool kLoads, typename Thread, typename Use>
  LOWBIT_HOST_DEVICE void for_eights(Thread& thread, const QuantizeCall& call, Eight (&kept)[kKept],
                                     const Use& use) const {
    Rows::template for_eights<kLoads>(
        call, kept, [&](int eight) { return load(thread, call, eight); }, use);
  }

  // Of the token by warps, or of each step.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void find_largest(Thread& thread, const QuantizeCall& call, Eight (&kept)[kKept]) const {
    auto shared = thread.template shared<std::uint32_t>();
    std::uint32_t of_thread = 0;
    for_eights<true>(thread, call, kept, [&](int eight, const Eight& values) {
      std::uint32_t largest = Rows::largest_magnitude(values);
      if constexpr (kPlanes == 1) {
        of_thread = larger_of(of_thread, largest);
      } else {
        LOWBIT_UNROLL
        for (int mask = 1; mask < 4; mask *= 2) largest = larger_of(largest, thread.shuffle_xor(largest, mask));
        if (eight % 4 == 0 && eight < eights(call)) shared.store(steps_at_ + eight / 4, largest);
      }
    });
    if constexpr (kPlanes == 1) Rows::share_largest(thread, of_thread);
  }

  LOWBIT_HOST_DEVICE static float scale_of(std::uint32_t largest) {
    if (largest >= kInfiniteMagnitude) return float_from_bits(0x7FC00000U);
    const float scale = quotient(float_from_bits(largest), kLargest);
    return scale > 0x1p-126F ? scale : 0x1p-126F;
  }
  template <typename Thread>
  LOWBIT_HOST_DEVICE float scale_of_run(Thread& thread, const RunSteps& steps) const {
    const auto shared = thread.template shared<std::uint32_t>();
    std::uint32_t largest = 0;
    for (int s = 0; s < steps.count; ++s) largest = larger_of(largest, shared.load(steps_at_ + steps.first + s));
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
      scale = scale_of(Rows::largest_of_token(thread));
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
        Rows::lay_out(call, call.block_tokens, bytes_of(call), eight, low);
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

  LOWBIT_HOST_DEVICE static std::uint8_t* bytes_of(const QuantizeCall& call) {
    return reinterpret_cast<std::uint8_t*>(call.bytes);
  }

  // What a product of whole chunks needs beside its numbers: zeros behind the last step, and the token's sum.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void complete_layout(Thread& thread, const QuantizeCall& call) const {
    Rows::lay_out_end(call, call.block_tokens, bytes_of(call));
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

  // In shared memory: sums of steps, and their largest magnitudes.
  int sums_at_;
  int steps_at_;
  float norm_scale_ = 0.0F;  // of the token's row
};

}  // namespace lowbit::kernels::cuda
