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

/// scale (code - zero), rounded from float32 once. A warp takes a chunk of a tile.
template <int kBits, typename Number>
struct Expand {
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
      for (int reg = 0; reg < 4; ++reg) {
        store(call, parameters, code_bytes<kBits>(codes, s, reg), tile * kTileRows + lane / 4 + reg % 2 * 8, reg % 2,
              step * kStepColumns + lane % 4 * 8 + reg / 2 * 4);
      }
    }
  }

 private:
  LOWBIT_HOST_DEVICE static void store(const ExpandCall& call, const Parameters& parameters, std::uint32_t bytes,
                                       int row, int row_half, int place) {
    if (row >= call.weight.rows) return;
    const auto zero = static_cast<std::int32_t>(parameters.zero(row_half));
    const float scale = parameters.scale(call.weight.scale_kind, row_half);
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int column = call.sources != nullptr ? call.sources[place + i] : place + i;
      if (column < 0 || column >= call.weight.columns) continue;
      const auto code = static_cast<std::int32_t>((bytes >> (8 * byte_of_column(i))) & 0xFFU);
      call.output[row * call.stride + column] = Number::from_float(scale * static_cast<float>(code - zero));
    }
  }
};

/// Activations in the order of a weight's places, padding zero: for weights whose columns moved.
struct ArrangeCall {
  const std::uint16_t* input;  ///< [tokens][stride]
  std::int64_t stride;
  std::int32_t tokens;
  std::int32_t columns;
  const std::int32_t* sources;  ///< [places]
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
      const int column = call.sources[p];
      const bool present = column >= 0 && column < call.columns;
      call.output[std::int64_t{token} * call.places + p] = present ? call.input[token * call.stride + column] : 0;
    }
  }
};

}  // namespace lowbit::kernels::cuda
