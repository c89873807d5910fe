#pragma once

#include "kernels/cuda/lane_ring.h"

// Chunks of packed weights on their way into shared memory, as `LaneRing` has them, for matrices that need few
// instructions a chunk: 4 bits, whole chunks of one group each, scales of 16 bits.
namespace lowbit::kernels::cuda {

/// Whether a matrix is one of those.
LOWBIT_HOST_DEVICE constexpr bool has_plain_chunks(const Matrix& weight) {
  return weight.bits == 4 && weight.table == nullptr && weight.steps % kChunkSteps == 0 &&
         weight.group_steps % kChunkSteps == 0 && weight.scale_kind != ScaleKind::kFloat32;
}

/// A warp's chunks; kDepth of them are on their way or there. Three lanes copy a tile's sixteen scales and zeros.
template <int kDepth>
class SliceRing {
 public:
  static constexpr int kChunks = kDepth;
  static constexpr int kCodeWords = kLanes * chunk_words(4);
  static constexpr int kScalesAt = kCodeWords;
  static constexpr int kZerosAt = kScalesAt + kTileRows / 2;
  static constexpr int kSlotWords = kZerosAt + kTileRows / 4;
  static constexpr int kWords = kDepth * kSlotWords;

  /// `at`: this warp's words of shared memory.
  LOWBIT_HOST_DEVICE SliceRing(const Matrix& weight, int lane, int at)
      : weight_(weight),
        lane_(lane),
        at_(at),
        to_(at),
        from_(at),
        copies_parameters_(lane < 2 || (lane == 2 && weight.zeros != nullptr)) {}

  /// What is started from now on is of this tile, from this chunk on. Behind the matrix's last tile that one is copied:
  /// nobody stores what it makes.
  LOWBIT_HOST_DEVICE void move_to(int tile, int chunk) {
    const int tiles = tiles_of(weight_);
    if (tile >= tiles) tile = tiles - 1;
    const int chunks = weight_.group_steps / kChunkSteps;
    const int group = chunk / chunks;
    left_ = chunks - chunk % chunks;
    codes_ = weight_.codes + tile * tile_bytes(4, weight_.steps) + chunk * kChunkBytes + lane_ * 16;
    const std::int64_t first = (std::int64_t{tile} * weight_.groups + group) * kTileRows;
    if (lane_ < 2) {
      parameters_ = static_cast<const std::uint8_t*>(weight_.scales) + first * 2 + lane_ * 16;
    } else {
      parameters_ = weight_.zeros + first;
    }
  }

  /// Copies the tile's next chunk. All lanes of the warp have read what was there.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void start(Thread& thread) {
    auto shared = thread.template shared<std::uint32_t>();
    shared.copy_async16(to_ + lane_ * 4, codes_, true);
    shared.copy_async16(to_ + (kLanes + lane_) * 4, codes_ + kLanes * 16, true);
    if (copies_parameters_) shared.copy_async16(to_ + kScalesAt + lane_ * 4, parameters_, true);
    thread.commit_copies();
    codes_ += kChunkBytes;
    if (--left_ == 0) {
      left_ = weight_.group_steps / kChunkSteps;
      parameters_ += lane_ < 2 ? 2 * kTileRows : kTileRows;
    }
    advance(to_);
  }

  /// Nothing in place of a chunk, behind the last one: what is there stays. So that all can be read, zeros where
  /// nothing was before.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void skip(Thread& thread, bool clear) {
    auto shared = thread.template shared<std::uint32_t>();
    if (clear) {
      shared.store16(to_ + lane_ * 4, {});
      shared.store16(to_ + (kLanes + lane_) * 4, {});
      if (lane_ < 3) shared.store16(to_ + kScalesAt + lane_ * 4, {});
    }
    thread.commit_copies();
    advance(to_);
  }

  /// Until all but the last kLater that were started are there, for all lanes.
  template <int kLater, typename Thread>
  LOWBIT_HOST_DEVICE static void wait(Thread& thread) {
    thread.template wait_copies<kLater>();
    thread.sync_warp();
  }

  /// Goes on to the next chunk; the first one is there at the beginning.
  LOWBIT_HOST_DEVICE void step() { advance(from_); }

  template <typename Thread>
  LOWBIT_HOST_DEVICE Codes<4> codes(Thread& thread) const {
    auto shared = thread.template shared<std::uint32_t>();
    Codes<4> result;
    LOWBIT_UNROLL
    for (int v = 0; v < 2; ++v) {
      const Word4 loaded = shared.load16(from_ + (v * kLanes + lane_) * 4);
      LOWBIT_UNROLL
      for (int w = 0; w < 4; ++w) result.words[4 * v + w] = loaded.x[w];
    }
    return result;
  }

  /// Of the lane's two rows; a chunk has one group.
  template <typename Thread>
  LOWBIT_HOST_DEVICE GroupNumbers numbers(Thread& thread, int) const {
    auto shared = thread.template shared<std::uint32_t>();
    const std::uint32_t scales = shared.load(from_ + kScalesAt + lane_ / 4);
    const bool half = weight_.scale_kind == ScaleKind::kFloat16;
    const auto uniform = static_cast<std::uint32_t>(weight_.uniform_zero);
    GroupNumbers result;
    result.scales[0] = half ? half_as_float(scales & 0xFFFFU) : bfloat16_as_float(scales & 0xFFFFU);
    result.scales[1] = half ? half_as_float(scales >> 16) : bfloat16_as_float(scales >> 16);
    result.zeros = uniform | (uniform << 8);
    if (weight_.zeros != nullptr) result.zeros = shared.load(from_ + kZerosAt + lane_ / 8) >> (lane_ / 4 % 2 * 16);
    return result;
  }

 private:
  static constexpr int kChunkBytes = 4 * kCodeWords;

  LOWBIT_HOST_DEVICE void advance(int& slot) const {
    slot += kSlotWords;
    if (slot == at_ + kWords) slot = at_;
  }

  const Matrix& weight_;
  int lane_;
  int at_;
  int to_;    ///< the slot of the next chunk that is started
  int from_;  ///< of the chunk that is read
  bool copies_parameters_;
  int left_ = 0;  ///< chunks of the group that are still to be started
  const std::uint8_t* codes_ = nullptr;
  const std::uint8_t* parameters_ = nullptr;
};

}  // namespace lowbit::kernels::cuda
