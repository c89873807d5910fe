#pragma once

#include "kernels/cuda/chunk.h"
#include "kernels/cuda/hopper_input.h"

// Chunks of packed weights on their way into shared memory. Each lane copies the codes that it will itself decode, so
// that nobody else has to know when they are there: no barrier, and no engine that takes one request after another.
namespace lowbit::kernels::cuda {

/// Scales and zeros of a group for a lane's two rows.
struct GroupNumbers {
  float scales[2];
  std::uint32_t zeros;
  LOWBIT_HOST_DEVICE std::uint32_t zero(int row_half) const { return (zeros >> (8 * row_half)) & 0xFFU; }
};

/// A warp's chunks: codes, and where `kParameters` says so scales and zeros too. `kDepth` chunks are on their way or
/// there; they are started and read one after the other. Codes and scales of a matrix take less than 4 GB each.
template <int kBits, int kDepth, bool kParameters>
class LaneRing {
  static_assert(kBits != 3, "codes in two planes have no stage");

 public:
  static constexpr int kChunks = kDepth;
  static constexpr int kCodeWords = kLanes * chunk_words(kBits);
  /// Of the lane's group of the chunk: two words of scales and one of zeros.
  static constexpr int kScalesAt = kCodeWords;
  static constexpr int kZerosAt = kScalesAt + 2 * kLanes;
  static constexpr int kSlotWords = kParameters ? kZerosAt + kLanes : kCodeWords;
  static constexpr int kWords = kDepth * kSlotWords;

  /// `at`: this warp's words of shared memory.
  LOWBIT_HOST_DEVICE LaneRing(const Matrix& weight, int lane, int at)
      : weight_(weight), group_of_(weight), lane_(lane), at_(at), to_(at), from_(at) {}

  /// What is started from now on is of this tile, from this chunk on; one that the matrix lacks has zeros everywhere.
  LOWBIT_HOST_DEVICE void move_to(int tile, int chunk) {
    present_ = tile < tiles_of(weight_);
    if (!present_) tile = 0;
    chunk_ = chunk;
    codes_ = static_cast<std::uint32_t>(std::int64_t{tile} * tile_bytes(kBits, weight_.steps)) +
             static_cast<std::uint32_t>(chunk * kChunkBytes + lane_ * 16);
    rows_ = static_cast<std::uint32_t>(tile * weight_.groups * kTileRows + lane_ / 4 * 2);
  }

  /// Copies the tile's next chunk, or zeros when it is not `wanted`. All lanes of the warp have read what was there.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void start(Thread& thread, bool wanted) {
    const bool present = wanted && present_;
    copy_codes(thread, present);
    if constexpr (kParameters) copy_parameters(thread, present);
    thread.commit_copies();
    codes_ += kChunkBytes;
    ++chunk_;
    advance(to_);
  }

  /// Until all but the last kLater that were started are there. Other lanes' parameters may be read then.
  template <int kLater, typename Thread>
  LOWBIT_HOST_DEVICE static void wait(Thread& thread) {
    thread.template wait_copies<kLater>();
    if constexpr (kParameters) thread.sync_warp();
  }

  /// Goes on to the next chunk; the first one is there at the beginning.
  LOWBIT_HOST_DEVICE void step() { advance(from_); }

  template <typename Thread>
  LOWBIT_HOST_DEVICE Codes<kBits> codes(Thread& thread) const {
    auto shared = thread.template shared<std::uint32_t>();
    Codes<kBits> result;
    LOWBIT_UNROLL
    for (int v = 0; v < chunk_words(kBits) / 4; ++v) {
      const Word4 loaded = shared.load16(from_ + (v * kLanes + lane_) * 4);
      LOWBIT_UNROLL
      for (int w = 0; w < 4; ++w) result.words[4 * v + w] = loaded.x[w];
    }
    return result;
  }

  /// Of the lane's two rows; `group` counts those of the chunk.
  template <typename Thread>
  LOWBIT_HOST_DEVICE GroupNumbers numbers(Thread& thread, int group) const {
    static_assert(kParameters);
    auto shared = thread.template shared<std::uint32_t>();
    const int copier = lane_ / 4 * 4 + group;
    const int scales = from_ + kScalesAt + 2 * copier;
    const std::uint32_t first = shared.load(scales);
    GroupNumbers result;
    if (weight_.scale_kind == ScaleKind::kFloat32) {
      result.scales[0] = float_from_bits(first);
      result.scales[1] = float_from_bits(shared.load(scales + 1));
    } else if (weight_.scale_kind == ScaleKind::kFloat16) {
      result.scales[0] = half_as_float(first & 0xFFFFU);
      result.scales[1] = half_as_float(first >> 16);
    } else {
      result.scales[0] = bfloat16_as_float(first & 0xFFFFU);
      result.scales[1] = bfloat16_as_float(first >> 16);
    }
    const auto uniform = static_cast<std::uint32_t>(weight_.uniform_zero);
    result.zeros = uniform | (uniform << 8);
    if (weight_.zeros != nullptr) {
      result.zeros = shared.load(from_ + kZerosAt + copier) >> (lane_ / 4 % 2 * 16) & 0xFFFFU;
    }
    return result;
  }

 private:
  static constexpr int kChunkBytes = 4 * kCodeWords;

  LOWBIT_HOST_DEVICE void advance(int& slot) const {
    slot += kSlotWords;
    if (slot == at_ + kWords) slot = at_;
  }

  // What is left behind the last whole chunk lies word by word; it is put where a whole chunk's words are.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void copy_codes(Thread& thread, bool present) const {
    auto shared = thread.template shared<std::uint32_t>();
    constexpr int kChunkWords = chunk_words(kBits);
    const std::uint8_t* from = weight_.codes + (present ? codes_ : 0);
    if (!present || (chunk_ + 1) * kChunkSteps <= weight_.steps) {
      LOWBIT_UNROLL
      for (int v = 0; v < kChunkWords / 4; ++v) {
        shared.copy_async16(to_ + (v * kLanes + lane_) * 4, from + (present ? v * kLanes * 16 : 0), present);
      }
      return;
    }
    const int left = tile_words(kBits, weight_.steps) - chunk_ * kChunkWords;
    LOWBIT_NO_UNROLL
    for (int w = 0; w < kChunkWords; ++w) {
      const bool there = w < left;
      shared.template copy_async<4>(to_ + (w / 4 * kLanes + lane_) * 4 + w % 4,
                                    there ? from + 4 * w * kLanes - 12 * lane_ : weight_.codes, there);
    }
  }

  // A lane has rows lane / 4 and 8 further, as three others have: each takes another group of the chunk.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void copy_parameters(Thread& thread, bool present) const {
    const int own = lane_ % 4;
    if (weight_.group_steps % kChunkSteps == 0) {
      return copy_group(thread, group_of_(chunk_), present && own == 0);
    }
    const ChunkGroups groups(weight_, chunk_);
    const bool there = present && own < groups.count;
    copy_group(thread, groups.first + own, there);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void copy_group(Thread& thread, int group, bool present) const {
    auto shared = thread.template shared<std::uint32_t>();
    const int to = to_ + kScalesAt + 2 * lane_;
    const std::uint32_t row = present ? rows_ + static_cast<std::uint32_t>(group * kTileRows) : 0;
    const auto* scales = static_cast<const std::uint8_t*>(weight_.scales);
    if (weight_.scale_kind == ScaleKind::kFloat32) {
      shared.template copy_async<8>(to, scales + 4 * row, present);
    } else {
      shared.template copy_async<4>(to, scales + 2 * row, present);
    }
    if (weight_.zeros == nullptr) return;
    shared.template copy_async<4>(to_ + kZerosAt + lane_, weight_.zeros + (row & ~3U), present);
  }

  const Matrix& weight_;
  ChunkGroup group_of_;
  int lane_;
  int at_;
  int to_;                   ///< the slot of the next chunk that is started
  int from_;                 ///< of the chunk that is read
  bool present_ = false;     ///< the tile
  int chunk_ = 0;            ///< the next one of the tile
  std::uint32_t codes_ = 0;  ///< where its codes lie
  std::uint32_t rows_ = 0;   ///< the lane's rows in the tile's first group
};

}  // namespace lowbit::kernels::cuda
