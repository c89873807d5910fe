#pragma once

#include <cstdint>

#include "kernels/cuda/host_device.h"
#include "kernels/tiles.h"

// How a packed matrix lies in a GPU's memory. Steps of 32 columns, their padding and their groups are those of the
// CPU's layout (tiles.h). Sixteen rows are a tile, the left operand of one matrix instruction: lane 4 g + t of a warp
// holds rows g and g + 8, columns 8 t .. 8 t + 7 of each step. Which columns an instruction calls its first is free as
// long as activations agree, so these eight are chosen to be side by side: a lane loads its activations as 16 bytes
// too.
namespace lowbit::kernels::cuda {

inline constexpr int kTileRows = kBlockRows;
inline constexpr int kLanes = 32;
/// Steps that are loaded together.
inline constexpr int kChunkSteps = 4;

/// Where a code's bits lie among the words that a lane holds of one tile and plane.
struct Field {
  int lane;
  int word;
  int shift;
};

/// Byte of a register that holds one of four columns side by side: 0, 2, 1, 3, so that the first two are 16 bits apart
/// and become a pair of 16-bit numbers by one instruction.
LOWBIT_HOST_DEVICE constexpr int byte_of_column(int column) { return (column % 2) * 2 + column / 2 % 2; }

/// A step is four registers of four codes for each lane: register 2 i + h holds columns 8 t + 4 i .. + 3 of row g + 8
/// h. Registers follow each other in the bits of bytes, those of the next step behind them, as in the CPU's chunks.
LOWBIT_HOST_DEVICE constexpr Field field_of(int plane_bits, int step, int row, int column) {
  const int lane = 4 * (row % 8) + column / 8;
  const int quad = 4 * step + column % 8 / 4 * 2 + row / 8;
  const int quads = 8 / plane_bits;  // in a word
  return {lane, quad / quads, 8 * byte_of_column(column % 4) + plane_bits * (quad % quads)};
}

/// Words that a lane holds of a whole chunk.
LOWBIT_HOST_DEVICE constexpr int chunk_words(int plane_bits) { return 2 * plane_bits; }

LOWBIT_HOST_DEVICE constexpr int tile_words(int plane_bits, int steps) { return (4 * steps * plane_bits + 7) / 8; }
LOWBIT_HOST_DEVICE constexpr std::int64_t plane_bytes(int plane_bits, int steps) {
  return std::int64_t{4} * kLanes * tile_words(plane_bits, steps);
}

/// Bytes from the start of a tile's plane to a lane's word. In whole chunks up to four words of a lane stand side by
/// side, then the next lane's; what is left after them is stored word by word, and costs no byte more.
LOWBIT_HOST_DEVICE constexpr std::int64_t word_offset(int plane_bits, int steps, int lane, int word) {
  const int in_chunk = chunk_words(plane_bits);
  const int chunk = word / in_chunk;
  const int rest = word % in_chunk;
  const std::int64_t base = std::int64_t{4} * kLanes * in_chunk * chunk;
  if (chunk >= steps / kChunkSteps) return base + 4 * (rest * kLanes + lane);
  const int vector = in_chunk < 4 ? in_chunk : 4;
  return base + 4 * (rest / vector * vector * kLanes + lane * vector + rest % vector);
}

/// Codes of 3 bits are a plane of 2 and then one of 1, as on the CPU.
LOWBIT_HOST_DEVICE constexpr int first_plane_bits(int bits) { return bits == 3 ? 2 : bits; }
LOWBIT_HOST_DEVICE constexpr std::int64_t tile_bytes(int bits, int steps) {
  return plane_bytes(first_plane_bits(bits), steps) + (bits == 3 ? plane_bytes(1, steps) : 0);
}

/// Scales and zeros of a group stand in the order 0, 8, 1, 9, ..: a lane loads those of its two rows at once.
LOWBIT_HOST_DEVICE constexpr int scale_place(int row) { return row % 8 * 2 + row / 8; }

/// A packed matrix in the GPU's memory.
struct Matrix {
  const std::uint8_t* codes;  ///< [tiles][tile_bytes]
  const void* scales;         ///< [tiles][groups][16]
  const std::uint8_t* zeros;  ///< [tiles][groups][16]; null: all are `uniform_zero`
  std::int32_t rows;
  std::int32_t columns;
  std::int32_t bits;  ///< 2, 3, 4 or 8
  std::int32_t steps;
  std::int32_t groups;
  std::int32_t group_steps;  ///< of every group but the last, which may have fewer
  std::int32_t uniform_zero;
  ScaleKind scale_kind;
  const float* table;  ///< [2^bits] what codes stand for; null: code - zero
};

/// Division by the chunks of a group, for many chunks: a product of 64 bits where the processor would divide.
class ChunkGroup {
 public:
  LOWBIT_HOST_DEVICE explicit ChunkGroup(const Matrix& matrix) : reciprocal_(0) {
    const auto chunks = static_cast<std::uint32_t>(matrix.group_steps / kChunkSteps);
    if (chunks > 1) reciprocal_ = 0xFFFFFFFFU / chunks + 1U;  // 2^32 / chunks, rounded up
  }
  /// Of a chunk below 2^16, where groups are whole numbers of chunks, of fewer than 2^16 chunks.
  [[nodiscard]] LOWBIT_HOST_DEVICE int operator()(int chunk) const {
    if (reciprocal_ == 0) return chunk;
    return static_cast<int>((std::uint64_t{static_cast<std::uint32_t>(chunk)} * reciprocal_) >> 32);
  }

 private:
  std::uint32_t reciprocal_;
};

LOWBIT_HOST_DEVICE constexpr int tiles_of(const Matrix& matrix) { return (matrix.rows + kTileRows - 1) / kTileRows; }
LOWBIT_HOST_DEVICE constexpr int chunks_of(const Matrix& matrix) {
  return (matrix.steps + kChunkSteps - 1) / kChunkSteps;
}

}  // namespace lowbit::kernels::cuda
