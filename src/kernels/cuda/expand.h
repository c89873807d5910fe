#pragma once

#include "kernels/cuda/chunk.h"

// A packed matrix as 16-bit floats, for products so large that decoding every weight once more costs little beside
// them.
namespace lowbit::kernels::cuda {

struct ExpandCall {
  Matrix weight;
  const std::int32_t* sources;  ///< as `Packed::sources_at`
  std::uint16_t* output;        ///< [rows][stride], columns in their own order
  std::int64_t stride;
};

/// Eight places side by side of a row, which may lack it and some of them.
LOWBIT_HOST_DEVICE inline void store_places(const ExpandCall& call, const Word4& numbers, int row, int place) {
  if (row >= call.weight.rows) return;
  std::uint16_t* to = call.output + row * call.stride;
  const bool whole = call.sources == nullptr && place + 8 <= call.weight.columns;
  if (whole && reinterpret_cast<std::uintptr_t>(to + place) % sizeof(Word4) == 0) {
    *reinterpret_cast<Word4*>(to + place) = numbers;
    return;
  }
  LOWBIT_UNROLL
  for (int i = 0; i < 8; ++i) {
    const int column = call.sources != nullptr ? call.sources[place + i] : place + i;
    if (column < 0 || column >= call.weight.columns) continue;
    to[column] = static_cast<std::uint16_t>(numbers.x[i / 2] >> (16 * (i % 2)));
  }
}

/// scale (code - zero), rounded from float32 once. A warp takes a chunk of a tile.
template <int kBits, typename Number>
class Expand {
 public:
  static constexpr int kThreads = 128;
  static constexpr int kResidentBlocks = 1;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const ExpandCall& call) {
    const int lane = thread.index() % kLanes;
    const int tile = thread.block(0);
    const int chunk = thread.block(1) * (kThreads / kLanes) + thread.index() / kLanes;
    thread.allow_next_grid();
    Codes<kBits> codes = {};
    Parameters parameters[kChunkSteps] = {};
    if (chunk < chunks_of(call.weight)) {
      codes = load_codes<kBits>(thread, call.weight, tile, chunk, lane);
      LOWBIT_UNROLL
      for (int s = 0; s < kChunkSteps; ++s) {
        const int step = chunk * kChunkSteps + s;
        if (step >= call.weight.steps) break;
        parameters[s] = load_parameters(thread, call.weight, tile, step / call.weight.group_steps, lane);
      }
    }
    thread.wait_for_previous_grid();  // which may read what is written here
    LOWBIT_UNROLL
    for (int s = 0; s < kChunkSteps; ++s) {
      const int step = chunk * kChunkSteps + s;
      if (step >= call.weight.steps) break;
      LOWBIT_UNROLL
      for (int half = 0; half < 2; ++half) {
        const Word4 numbers = decode(thread, codes, s, half, parameters[s], call.weight.scale_kind);
        store_places(call, numbers, tile * kTileRows + lane / 4 + half * 8, step * kStepColumns + lane % 4 * 8);
      }
    }
  }

 private:
  /// A lane's eight columns of one of its two rows.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static Word4 decode(Thread& thread, const Codes<kBits>& codes, int step, int row_half,
                                         const Parameters& parameters, ScaleKind kind) {
    const float scale = parameters.scale(kind, row_half);
    Word4 numbers;
    LOWBIT_UNROLL
    for (int i = 0; i < 2; ++i) {
      const Quad quad =
          Number::template quad<kBits>(thread, codes, step, 2 * i + row_half, parameters.zero(row_half), 0);
      numbers.x[2 * i] = scaled_pair<Number>(scale, quad.first);
      numbers.x[2 * i + 1] = scaled_pair<Number>(scale, quad.last);
    }
    return numbers;
  }
};

/// Activations in the order of a weight's places, padding zero: for weights whose columns moved.
struct ArrangeCall {
  const std::uint16_t* input;  ///< [tokens][stride]
  std::int64_t stride;
  std::int32_t tokens;
  std::int32_t columns;
  const std::int32_t* sources;  ///< [places], or null: places are columns, the last ones lacking
  std::int32_t places;
  std::uint16_t* output;  ///< [tokens][places]
};

struct Arrange {
  static constexpr int kThreads = 256;
  static constexpr int kResidentBlocks = 1;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void run(Thread& thread, const ArrangeCall& call) {
    thread.allow_next_grid();
    thread.wait_for_previous_grid();
    const int token = thread.block(0);
    for (int p = thread.index(); p < call.places; p += kThreads) {
      const int column = call.sources != nullptr ? call.sources[p] : p;
      const bool present = column >= 0 && column < call.columns;
      call.output[std::int64_t{token} * call.places + p] = present ? call.input[token * call.stride + column] : 0;
    }
  }
};

}  // namespace lowbit::kernels::cuda
