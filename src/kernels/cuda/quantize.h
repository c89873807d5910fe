#pragma once

#include "kernels/cuda/output.h"
#include "kernels/cuda/runs.h"

// Activations rounded to integers as `Arithmetic::kInt8` and `kInt16` define it, bit for bit, and arranged for the
// integer product: the columns of a weight's places, four side by side in the order of `byte_of_column`.
namespace lowbit::kernels::cuda {

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
};

inline constexpr int kQuantizeThreads = 256;
inline constexpr int kQuantizeWarps = kQuantizeThreads / kLanes;

/// Two planes: an integer up to 32639 in magnitude is 256 high + low, both of which are bytes with a sign.
template <int kPlanes>
class Quantize {
 public:
  static constexpr int kThreads = kQuantizeThreads;
  static constexpr int kResidentBlocks = 1;
  static constexpr int kSharedWords = kQuantizeWarps;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const QuantizeCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    const int token = thread.block(0);
    const int warp = thread.index() / kLanes;
    const int lane = thread.index() % kLanes;
    const int runs = runs_of(call.groups, call.group_steps);
    float scale = 0.0F;
    if constexpr (kPlanes == 1) {
      scale = scale_of(largest_of_token(thread, call, token));
      if (thread.index() == 0) call.scales[token] = scale;
    }
    for (int r = warp; r < runs; r += kQuantizeWarps) {
      const RunSteps steps(r, call.group_steps, call.steps);
      if constexpr (kPlanes == 2) {
        scale = scale_of(largest_of_run(thread, call, token, steps));
        if (lane == 0) call.scales[std::int64_t{token} * runs + r] = scale;
      }
      const std::int32_t sum = store_run(thread, call, token, steps, scale);
      if (lane == 0) call.sums[std::int64_t{token} * runs + r] = sum;
    }
  }

 private:
  static constexpr float kLargest = kPlanes == 1 ? 127.0F : 32639.0F;
  static constexpr std::uint32_t kInfinity = 0x7F800000U;

  LOWBIT_HOST_DEVICE static float value_at(const QuantizeCall& call, int token, int place) {
    const int column = call.sources != nullptr ? call.sources[place] : place;
    if (column < 0 || column >= call.columns) return 0.0F;
    return load_number(call.kind, call.input, token * call.stride + column);
  }

  // As bits without a sign they are ordered like magnitudes, and infinities and NaN are above all others.
  LOWBIT_HOST_DEVICE static std::uint32_t magnitude(float value) { return bits_of_float(value) & 0x7FFFFFFFU; }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static std::uint32_t largest_of_warp(Thread& thread, std::uint32_t largest) {
    LOWBIT_UNROLL
    for (int mask = kLanes / 2; mask > 0; mask /= 2) {
      const std::uint32_t other = thread.shuffle_xor(largest, mask);
      largest = other > largest ? other : largest;
    }
    return largest;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static std::uint32_t largest_of_token(Thread& thread, const QuantizeCall& call, int token) {
    std::uint32_t largest = 0;
    for (int c = thread.index(); c < call.columns; c += kQuantizeThreads) {
      const std::uint32_t other = magnitude(load_number(call.kind, call.input, token * call.stride + c));
      largest = other > largest ? other : largest;
    }
    auto shared = thread.template shared<std::uint32_t>();
    largest = largest_of_warp(thread, largest);
    if (thread.index() % kLanes == 0) shared.store(thread.index() / kLanes, largest);
    thread.sync();
    LOWBIT_UNROLL
    for (int w = 0; w < kQuantizeWarps; ++w) {
      const std::uint32_t other = shared.load(w);
      largest = other > largest ? other : largest;
    }
    return largest;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static std::uint32_t largest_of_run(Thread& thread, const QuantizeCall& call, int token,
                                                         const RunSteps& steps) {
    std::uint32_t largest = 0;
    for (int s = steps.first; s < steps.first + steps.count; ++s) {
      const std::uint32_t other = magnitude(value_at(call, token, s * kStepColumns + thread.index() % kLanes));
      largest = other > largest ? other : largest;
    }
    return largest_of_warp(thread, largest);
  }

  LOWBIT_HOST_DEVICE static float scale_of(std::uint32_t largest) {
    if (largest >= kInfinity) return float_from_bits(0x7FC00000U);
    const float scale = quotient(float_from_bits(largest), kLargest);
    return scale > 0x1p-126F ? scale : 0x1p-126F;
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static std::int32_t store_run(Thread& thread, const QuantizeCall& call, int token,
                                                   const RunSteps& steps, float scale) {
    const int lane = thread.index() % kLanes;
    const std::int64_t width = std::int64_t{call.steps} * kStepColumns;
    std::int32_t sum = 0;
    for (int s = steps.first; s < steps.first + steps.count; ++s) {
      const float x = value_at(call, token, s * kStepColumns + lane);
      // A scale that is no number makes zeros, and a result that is none.
      const std::int32_t q = scale == scale ? nearest_integer(quotient(x, scale)) : 0;
      sum += q;
      std::int8_t* to = call.bytes + token * width + s * kStepColumns + lane / 4 * 4 + byte_of_column(lane % 4);
      const auto low = static_cast<std::int8_t>(q);
      if constexpr (kPlanes == 2) {
        *to = static_cast<std::int8_t>((q - low) / 256);
        to += call.tokens * width;
      }
      *to = low;
    }
    LOWBIT_UNROLL
    for (int mask = kLanes / 2; mask > 0; mask /= 2) sum += thread.shuffle_xor(sum, mask);
    return sum;
  }
};

}  // namespace lowbit::kernels::cuda
