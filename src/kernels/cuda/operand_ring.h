#pragma once

#include <cstdint>

#include "kernels/cuda/layout.h"

// Stages of shared memory that one warp fills with activations, as they are laid out beforehand, and that all other
// warps read as the right operand of their products. Each stage has two barriers, "it is full" and "it is free".
namespace lowbit::kernels::cuda {

/// They lie from word kAt on. Blocks of a cluster make the same tokens: each copies its part of every stage to all of
/// them, so that the second-level cache is read once for a cluster.
template <int kAt, int kStages, int kStageWords, int kConsumerWarps, int kClusterBlocks>
struct OperandRing {
  static_assert(kStageWords % (4 * kClusterBlocks) == 0, "copies in bulk are made of 16 bytes");
  static constexpr int kBarriersAt = kAt + kStages * kStageWords;
  static constexpr int kEnd = kBarriersAt + 4 * kStages;
  static constexpr int kPartWords = kStageWords / kClusterBlocks;

  LOWBIT_HOST_DEVICE static constexpr int stage_at(int i) { return kAt + i % kStages * kStageWords; }
  LOWBIT_HOST_DEVICE static constexpr int full_at(int i) { return kBarriersAt + i % kStages * 4; }
  LOWBIT_HOST_DEVICE static constexpr int free_at(int i) { return full_at(i) + 2; }
  /// A barrier's phases take turns; a stage's use number i / kStages is one of each.
  LOWBIT_HOST_DEVICE static constexpr std::uint32_t phase(int i) { return static_cast<std::uint32_t>(i / kStages % 2); }

  /// By all threads, before anything else. A stage is free when the consumers of all blocks have read it, since all are
  /// copied to at once.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void prepare(Thread& thread) {
    if (thread.index() == 0) {
      for (int i = 0; i < kStages; ++i) {
        thread.start_barrier(full_at(i), 1);
        thread.start_barrier(free_at(i), kConsumerWarps * kClusterBlocks);
      }
      thread.fence_barriers();
    }
    meet(thread);
  }

  /// By one thread: number i, when what was in its place has been read.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void fill(Thread& thread, const std::uint32_t* from, int i) {
    if (i >= kStages) thread.wait_barrier(free_at(i), phase(i - kStages));
    thread.expect(full_at(i), 4 * kStageWords);
    copy(thread, from, i);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void wait(Thread& thread, int i) {
    thread.wait_barrier(full_at(i), phase(i));
  }

  /// By each consumer's warp when its products have read the stage.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void release(Thread& thread, int i) {
    thread.sync_warp();
    const int lane = thread.index() % kLanes;
    if constexpr (kClusterBlocks == 1) {
      if (lane == 0) thread.arrive(free_at(i));
    } else {
      if (lane < kClusterBlocks) thread.arrive_at(lane, free_at(i));
    }
  }

  /// By all threads, at last: other blocks still arrive at this one's barriers until then.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void leave(Thread& thread) {
    if constexpr (kClusterBlocks > 1) thread.sync_cluster();
  }

 private:
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void meet(Thread& thread) {
    if constexpr (kClusterBlocks == 1) {
      thread.sync();
    } else {
      thread.sync_cluster();
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void copy(Thread& thread, const std::uint32_t* from, int i) {
    if constexpr (kClusterBlocks == 1) {
      thread.copy_bulk(stage_at(i), from, 4 * kStageWords, full_at(i));
    } else {
      const int part = thread.cluster_rank() * kPartWords;
      thread.copy_bulk_to_all(kClusterBlocks, stage_at(i) + part, from + part, 4 * kPartWords, full_at(i));
    }
  }
};

}  // namespace lowbit::kernels::cuda
