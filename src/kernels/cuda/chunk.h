#pragma once

#include "kernels/cuda/decode.h"

// How a lane reads a packed matrix. `Thread` is a CUDA thread, or the tests' model of one.
namespace lowbit::kernels::cuda {

/// Of a whole chunk; `plane` is where the lane's first words lie.
template <int kPlaneBits, typename Thread>
LOWBIT_HOST_DEVICE inline void load_lane_words(Thread& thread, const std::uint8_t* plane, int chunk,
                                               std::uint32_t* words) {
  constexpr int kWords = chunk_words(kPlaneBits);
  const std::uint8_t* from = plane + std::int64_t{4} * kLanes * kWords * chunk;
  if constexpr (kWords >= 4) {
    LOWBIT_UNROLL
    for (int v = 0; v < kWords / 4; ++v) {
      const Word4 loaded = thread.stream16(from + v * kLanes * 16);
      LOWBIT_UNROLL
      for (int i = 0; i < 4; ++i) words[4 * v + i] = loaded.x[i];
    }
  } else {
    const Word2 loaded = thread.stream8(from);
    words[0] = loaded.x[0];
    words[1] = loaded.x[1];
  }
}

template <int kPlaneBits, typename Thread>
LOWBIT_HOST_DEVICE inline void load_plane(Thread& thread, const std::uint8_t* plane, int steps, int chunk, int lane,
                                          std::uint32_t* words) {
  constexpr int kWords = chunk_words(kPlaneBits);
  if ((chunk + 1) * kChunkSteps <= steps) {
    return load_lane_words<kPlaneBits>(thread, plane + lane * (kWords >= 4 ? 16 : 8), chunk, words);
  }
  const std::uint8_t* from = plane + std::int64_t{4} * kLanes * kWords * chunk;
  const int left = tile_words(kPlaneBits, steps) - chunk * kWords;
  LOWBIT_UNROLL
  for (int k = 0; k < kWords; ++k) words[k] = k < left ? thread.stream4(from + (k * kLanes + lane) * 4) : 0;
}

template <int kBits, typename Thread>
LOWBIT_HOST_DEVICE inline Codes<kBits> load_codes(Thread& thread, const Matrix& weight, int tile, int chunk, int lane) {
  constexpr int kFirst = first_plane_bits(kBits);
  const std::uint8_t* base = weight.codes + tile * tile_bytes(kBits, weight.steps);
  Codes<kBits> codes;
  load_plane<kFirst>(thread, base, weight.steps, chunk, lane, codes.words);
  if constexpr (kBits == 3) {
    load_plane<1>(thread, base + plane_bytes(2, weight.steps), weight.steps, chunk, lane, codes.words + 4);
  }
  return codes;
}

/// Scales and zeros of a group for a lane's two rows, as they lie in memory.
struct Parameters {
  std::uint32_t scales[2];
  std::uint32_t zeros;

  LOWBIT_HOST_DEVICE float scale(ScaleKind kind, int row_half) const {
    if (kind == ScaleKind::kFloat32) return float_from_bits(scales[row_half]);
    const std::uint32_t bits = (scales[0] >> (16 * row_half)) & 0xFFFFU;
    return kind == ScaleKind::kFloat16 ? half_as_float(bits) : bfloat16_as_float(bits);
  }
  LOWBIT_HOST_DEVICE std::uint32_t zero(int row_half) const { return (zeros >> (8 * row_half)) & 0xFFU; }
};

/// Where a lane finds what it reads of a tile whose chunks are all whole.
template <int kBits>
struct LaneTile {
  static constexpr int kFirst = first_plane_bits(kBits);
  const std::uint8_t* codes;
  const std::uint8_t* last_plane;  ///< of 3 bits
  const std::uint8_t* scales;
  const std::uint8_t* zeros;  ///< null: none are stored

  LOWBIT_HOST_DEVICE LaneTile(const Matrix& weight, int tile, int lane)
      : codes(weight.codes + tile * tile_bytes(kBits, weight.steps)),
        last_plane(codes + plane_bytes(2, weight.steps) + lane * 8),
        scales(nullptr),
        zeros(nullptr) {
    const std::int64_t at = std::int64_t{tile} * weight.groups * kTileRows + lane / 4 * 2;
    scales = static_cast<const std::uint8_t*>(weight.scales) + at * (weight.scale_kind == ScaleKind::kFloat32 ? 4 : 2);
    if (weight.zeros != nullptr) zeros = weight.zeros + at;
    codes += lane * (chunk_words(kFirst) >= 4 ? 16 : 8);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void load(Thread& thread, int chunk, Codes<kBits>& target) const {
    load_lane_words<kFirst>(thread, codes, chunk, target.words);
    if constexpr (kBits == 3) load_lane_words<1>(thread, last_plane, chunk, target.words + 4);
  }
  template <typename Thread>
  LOWBIT_HOST_DEVICE Parameters parameters(Thread& thread, const Matrix& weight, int group) const {
    Parameters result;
    if (weight.scale_kind == ScaleKind::kFloat32) {
      const Word2 both = thread.read8(scales + group * 4 * kTileRows);
      result.scales[0] = both.x[0];
      result.scales[1] = both.x[1];
    } else {
      result.scales[0] = thread.read4(scales + group * 2 * kTileRows);
      result.scales[1] = 0;
    }
    const auto uniform = static_cast<std::uint32_t>(weight.uniform_zero);
    result.zeros = zeros != nullptr ? thread.read2(zeros + group * kTileRows) : uniform | (uniform << 8);
    return result;
  }
};

template <typename Thread>
LOWBIT_HOST_DEVICE inline Parameters load_parameters(Thread& thread, const Matrix& weight, int tile, int group,
                                                     int lane) {
  const std::int64_t at = (std::int64_t{tile} * weight.groups + group) * kTileRows + lane / 4 * 2;
  Parameters result;
  if (weight.scale_kind == ScaleKind::kFloat32) {
    const Word2 both = thread.read8(static_cast<const float*>(weight.scales) + at);
    result.scales[0] = both.x[0];
    result.scales[1] = both.x[1];
  } else {
    result.scales[0] = thread.read4(static_cast<const std::uint16_t*>(weight.scales) + at);
    result.scales[1] = 0;
  }
  const auto uniform = static_cast<std::uint32_t>(weight.uniform_zero);
  result.zeros = weight.zeros != nullptr ? thread.read2(weight.zeros + at) : uniform | (uniform << 8);
  return result;
}

/// Walks the steps of a chunk and says where groups begin.
struct GroupCursor {
  int group;
  int left;  ///< steps of the group that are still to come

  LOWBIT_HOST_DEVICE GroupCursor(const Matrix& weight, int step)
      : group(step / weight.group_steps), left(weight.group_steps - step % weight.group_steps) {}
  /// After a step: whether the next one opens a group.
  LOWBIT_HOST_DEVICE bool advance(const Matrix& weight) {
    if (--left != 0) return false;
    ++group;
    left = weight.group_steps;
    return true;
  }
};

}  // namespace lowbit::kernels::cuda
