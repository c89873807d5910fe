#pragma once

#include "kernels/cuda/eight.h"
#include "kernels/cuda/exponential.h"
#include "kernels/cuda/layout.h"

// What a decode step computes row by row between its products. Rows are bfloat16; every kernel computes in float32 and
// rounds what it writes once.
namespace lowbit::kernels::cuda {

struct NormCall {
  const std::uint16_t* input;   ///< [rows][width]
  const std::uint16_t* weight;  ///< [width]
  std::uint16_t* output;        ///< [rows][width]
  std::int32_t rows;
  std::int32_t width;  ///< a multiple of 8
  float epsilon;
  std::int32_t* counter;  ///< null, or a number that grows by one when all before this kernel is done
};

/// x / sqrt(mean of x^2 + epsilon) times the weight. A block takes a row; threads' sums of squares are joined by warps
/// in a tree and then in the order of warps.
struct NormRows {
  static constexpr int kThreads = 512;
  static constexpr int kWarps = kThreads / kLanes;
  static constexpr int kResidentBlocks = 2;
  static constexpr int kSharedWords = kWarps;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const NormCall& call) {
    thread.allow_next_grid();
    const int own = thread.index() * 8;
    Word4 weight = {};
    Word4 first = {};  // the thread's first eight numbers, which are all where rows have up to 4096
    if (own < call.width) weight = thread.read16(call.weight + own);
    thread.wait_for_previous_grid();
    const std::int64_t row = std::int64_t{thread.block(0)} * call.width;
    if (own < call.width) first = thread.read16(call.input + row + own);
    float sum = 0.0F;
    for (int at = own; at < call.width; at += kThreads * 8) {
      const Eight x = as_floats(at == own ? first : thread.read16(call.input + row + at));
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) sum = fused(x.x[i], x.x[i], sum);
    }
    const float mean = quotient(sum_of_block(thread, sum), static_cast<float>(call.width));
    const float scale = quotient(1.0F, square_root(mean + call.epsilon));
    for (int at = own; at < call.width; at += kThreads * 8) {
      if (at != own) weight = thread.read16(call.weight + at);
      const Eight weights = as_floats(weight);
      Eight x = as_floats(at == own ? first : thread.read16(call.input + row + at));
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) x.x[i] = x.x[i] * scale * weights.x[i];
      store_eight(call.output + row + at, x);
    }
    if (call.counter != nullptr && thread.block(0) == 0 && thread.index() == 0) ++*call.counter;
  }

 private:
  // Every thread gets the same sum.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static float sum_of_block(Thread& thread, float sum) {
    LOWBIT_UNROLL
    for (int mask = kLanes / 2; mask > 0; mask /= 2) sum += thread.shuffle_xor(sum, mask);
    auto shared = thread.template shared<float>();
    if (thread.index() % kLanes == 0) shared.store(thread.index() / kLanes, sum);
    thread.sync();
    sum = shared.load(0);
    LOWBIT_UNROLL
    for (int w = 1; w < kWarps; ++w) sum += shared.load(w);
    return sum;
  }
};

struct GateCall {
  const std::uint16_t* gate;
  const std::uint16_t* up;
  std::uint16_t* output;  ///< may be `gate`
  std::int32_t count;     ///< numbers of all rows together
};

/// silu(gate) times up, with silu(x) = x / (1 + exp(-x)).
struct GateRows {
  static constexpr int kThreads = 128;
  static constexpr int kResidentBlocks = 4;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const GateCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    const int at = (thread.block(0) * kThreads + thread.index()) * 8;
    if (at + 8 <= call.count) {
      Eight gate = as_floats(thread.read16(call.gate + at));
      const Eight up = as_floats(thread.read16(call.up + at));
      LOWBIT_UNROLL
      for (int i = 0; i < 8; ++i) gate.x[i] = gated(gate.x[i], up.x[i]);
      return store_eight(call.output + at, gate);
    }
    for (int i = at; i < call.count; ++i) {
      call.output[i] = as_bfloat16(gated(bfloat16_as_float(call.gate[i]), bfloat16_as_float(call.up[i])));
    }
  }

  LOWBIT_HOST_DEVICE static float gated(float gate, float up) { return quotient(gate, 1.0F + exponential(-gate)) * up; }
};

}  // namespace lowbit::kernels::cuda
