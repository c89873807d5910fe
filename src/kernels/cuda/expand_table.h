#pragma once

#include "kernels/cuda/expand.h"

namespace lowbit::kernels::cuda {

/// As `Expand`, for weights whose codes stand for the numbers of a table: scale * number, rounded from float32 once.
template <int kBits, typename Number>
struct ExpandTable {
  static constexpr int kThreads = 128;
  static constexpr int kResidentBlocks = 1;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const ExpandCall& call) {
    const int lane = thread.index() % kLanes;
    const int tile = thread.block(0);
    const int chunk = thread.block(1) * (kThreads / kLanes) + thread.index() / kLanes;
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    if (chunk >= chunks_of(call.weight)) return;
    const Codes<kBits> codes = load_codes<kBits>(thread, call.weight, tile, chunk, lane);
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      const int step = chunk * kChunkSteps + s;
      if (step >= call.weight.steps) break;
      const Parameters parameters = load_parameters(thread, call.weight, tile, step / call.weight.group_steps, lane);
      LOWBIT_UNROLL
      for (int half = 0; half < 2; ++half) {
        const Word2 eight = {code_bytes<kBits>(codes, s, half), code_bytes<kBits>(codes, s, 2 + half)};
        store_places(call, decode(thread, call.weight, parameters.scale(call.weight.scale_kind, half), eight),
                     tile * kTileRows + lane / 4 + half * 8, step * kStepColumns + lane % 4 * 8);
      }
    }
  }

 private:
  template <typename Thread>
  LOWBIT_HOST_DEVICE static Word4 decode(Thread& thread, const Matrix& weight, float scale, const Word2& codes) {
    Word4 numbers = {};
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) {
      const std::uint32_t code = (codes.x[i / 4] >> (8 * byte_of_column(i % 4))) & 0xFFU;
      const std::uint16_t number = Number::from_float(scale * float_from_bits(thread.read4(weight.table + code)));
      numbers.x[i / 2] |= std::uint32_t{number} << (16 * (i % 2));
    }
    return numbers;
  }
};

}  // namespace lowbit::kernels::cuda
