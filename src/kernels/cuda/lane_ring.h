#pragma once

#include "kernels/cuda/chunk.h"
#include "kernels/cuda/hopper_input.h"

// Chunks of packed weights on their way into shared memory. Each lane copies the codes that it will itself decode, so
// that nobody else has to know when they are there: no barrier, and no engine that takes one request after another.
namespace lowbit::kernels::cuda {

/// A warp's chunks of one tile: codes, and where `kParameters` says so scales and zeros too. `kDepth` chunks are on
/// their way or there.
template <int kBits, int kDepth, bool kParameters>
class LaneRing {
  static_assert(kBits != 3, "codes in two planes have no stage");

 public:
  static constexpr int kCodeWords = kLanes * chunk_words(kBits);
  /// Of the lane's group of the chunk: two words of scales and one of zeros.
  static constexpr int kScalesAt = kCodeWords;
  static constexpr int kZerosAt = kScalesAt + 2 * kLanes;
  static constexpr int kSlotWords = kParameters ? kZerosAt + kLanes : kCodeWords;
  static constexpr int kWords = kDepth * kSlotWords;

  /// `at`: this warp's words of shared memory.
  LOWBIT_HOST_DEVICE LaneRing(const Matrix& weight, int lane, int at)
      : weight_(weight), group_of_(weight), lane_(lane), at_(at) {}

  /// What is started from now on is of this tile; one that the matrix lacks has zeros in every place.
  LOWBIT_HOST_DEVICE void move_to(int tile) {
    present_ = tile < tiles_of(weight_);
    if (!present_) tile = 0;
    codes_ = weight_.codes + std::int64_t{tile} * tile_bytes(kBits, weight_.steps);
    const std::int64_t row = std::int64_t{tile} * weight_.groups * kTileRows + lane_ / 4 * 2;
    scales_ = static_cast<const std::uint8_t*>(weight_.scales) + row * scale_bytes();
    zeros_ = weight_.zeros != nullptr ? weight_.zeros + row / 4 * 4 : nullptr;
  }

  /// Copies a chunk into slot i % kDepth, or zeros when it is not `present`. All lanes of the warp have read what was
  /// there.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void start(Thread& thread, int chunk, int i, bool present) const {
    if (!present) chunk = 0;
    copy_codes(thread, chunk, slot_at(i), present && present_);
    if constexpr (kParameters) copy_parameters(thread, chunk, slot_at(i), present && present_);
    thread.commit_copies();
  }

  /// Until number i is there, behind which kLater have been started. Other lanes' parameters may be read then.
  template <int kLater, typename Thread>
  LOWBIT_HOST_DEVICE static void wait(Thread& thread) {
    thread.template wait_copies<kLater>();
    if constexpr (kParameters) thread.sync_warp();
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE Codes<kBits> codes(Thread& thread, int i) const {
    auto shared = thread.template shared<std::uint32_t>();
    Codes<kBits> result;
    LOWBIT_UNROLL
    for (int v = 0; v < chunk_words(kBits) / 4; ++v) {
      const Word4 loaded = shared.load16(slot_at(i) + (v * kLanes + lane_) * 4);
      LOWBIT_UNROLL
      for (int w = 0; w < 4; ++w) result.words[4 * v + w] = loaded.x[w];
    }
    return result;
  }

  /// Of the lane's two rows; `group` counts those of the chunk.
  template <typename Thread>
  LOWBIT_HOST_DEVICE Parameters parameters(Thread& thread, int i, int group) const {
    static_assert(kParameters);
    auto shared = thread.template shared<std::uint32_t>();
    const int copier = lane_ / 4 * 4 + group;
    const int scales = slot_at(i) + kScalesAt + 2 * copier;
    Parameters result;
    result.scales[0] = shared.load(scales);
    result.scales[1] = weight_.scale_kind == ScaleKind::kFloat32 ? shared.load(scales + 1) : 0;
    const auto uniform = static_cast<std::uint32_t>(weight_.uniform_zero);
    result.zeros = uniform | (uniform << 8);
    if (zeros_ != nullptr) {
      result.zeros = shared.load(slot_at(i) + kZerosAt + copier) >> (lane_ / 4 % 2 * 16) & 0xFFFFU;
    }
    return result;
  }

 private:
  LOWBIT_HOST_DEVICE int slot_at(int i) const { return at_ + i % kDepth * kSlotWords; }
  LOWBIT_HOST_DEVICE int scale_bytes() const { return weight_.scale_kind == ScaleKind::kFloat32 ? 4 : 2; }

  // What is left behind the last whole chunk lies word by word; it is put where a whole chunk's words are.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void copy_codes(Thread& thread, int chunk, int slot, bool present) const {
    auto shared = thread.template shared<std::uint32_t>();
    constexpr int kChunkWords = chunk_words(kBits);
    const std::uint8_t* from = codes_ + std::int64_t{chunk} * (4 * kLanes * kChunkWords);
    if ((chunk + 1) * kChunkSteps <= weight_.steps) {
      LOWBIT_UNROLL
      for (int v = 0; v < kChunkWords / 4; ++v) {
        shared.copy_async16(slot + (v * kLanes + lane_) * 4, from + (v * kLanes + lane_) * 16, present);
      }
      return;
    }
    const int left = tile_words(kBits, weight_.steps) - chunk * kChunkWords;
    for (int w = 0; w < kChunkWords; ++w) {
      const bool there = present && w < left;
      shared.template copy_async<4>(slot + (w / 4 * kLanes + lane_) * 4 + w % 4,
                                    there ? from + 4 * (w * kLanes + lane_) : weight_.codes, there);
    }
  }

  // A lane has rows lane / 4 and 8 further, as three others have: each takes another group of the chunk.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void copy_parameters(Thread& thread, int chunk, int slot, bool present) const {
    const int own = lane_ % 4;
    if (weight_.group_steps % kChunkSteps == 0) {
      return copy_group(thread, group_of_(chunk), slot, present && own == 0);
    }
    const ChunkGroups groups(weight_, chunk);
    const bool there = present && own < groups.count;
    copy_group(thread, there ? groups.first + own : 0, slot, there);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void copy_group(Thread& thread, int group, int slot, bool present) const {
    auto shared = thread.template shared<std::uint32_t>();
    const int to = slot + kScalesAt + 2 * lane_;
    const std::uint8_t* scales = scales_ + std::int64_t{group} * kTileRows * scale_bytes();
    if (weight_.scale_kind == ScaleKind::kFloat32) {
      shared.template copy_async<8>(to, scales, present);
    } else {
      shared.template copy_async<4>(to, scales, present);
    }
    if (zeros_ == nullptr) return;
    shared.template copy_async<4>(slot + kZerosAt + lane_, zeros_ + std::int64_t{group} * kTileRows, present);
  }

  const Matrix& weight_;
  ChunkGroup group_of_;
  int lane_;
  int at_;
  bool present_ = false;  ///< the tile
  const std::uint8_t* codes_ = nullptr;
  const std::uint8_t* scales_ = nullptr;  ///< of the lane's rows in the first group
  const std::uint8_t* zeros_ = nullptr;   ///< the word that holds them; null: none are stored
};

}  // namespace lowbit::kernels::cuda
