#pragma once

#include <cstdint>

#include "kernels/cuda/layout.h"

// Stages of shared memory that one warp fills with activations, as they are laid out beforehand, and that all other
// warps read as the right operand of their products. Each stage has two barriers, "it is full" and "it is free".
// Consumers begin and end tiles, which are runs of stages.
namespace lowbit::kernels::cuda {

/// They lie from word kAt on. Blocks of a cluster make the same tokens: each copies its part of every stage to all of
/// them, so that the second-level cache is read once for a cluster.
template <int kAt, int kStages, int kStageWords, int kConsumerWarps, int kClusterBlocks>
struct OperandRing {
  static_assert(kStageWords % (4 * kClusterBlocks) == 0, "copies in bulk are made of 16 bytes");
  static constexpr int kBarriersAt = kAt + kStages * kStageWords;
  static constexpr int kEnd = kBarriersAt + 4 * kStages;
  static constexpr int kPartWords = kStageWords / kClusterBlocks;

  /// The stage of a use, and the parity of that use.
  struct Place {
    int stage = 0;
    std::uint32_t phase = 0;
    LOWBIT_HOST_DEVICE void advance() {
      if (++stage < kStages) return;
      stage = 0;
      phase ^= 1U;
    }
  };

  LOWBIT_HOST_DEVICE static constexpr int stage_at(int stage) { return kAt + stage * kStageWords; }
  LOWBIT_HOST_DEVICE static constexpr int full_at(int stage) { return kBarriersAt + stage * 4; }
  LOWBIT_HOST_DEVICE static constexpr int free_at(int stage) { return full_at(stage) + 2; }

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

  /// By one thread, when what was there has been read: before a stage's first use there was nothing.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void fill(Thread& thread, const std::uint32_t* from, const Place& place) {
    thread.wait_barrier(free_at(place.stage), place.phase ^ 1U);
    thread.expect(full_at(place.stage), 4 * kStageWords);
    copy(thread, from, place.stage);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void wait(Thread& thread, const Place& place) {
    thread.wait_barrier(full_at(place.stage), place.phase);
  }

  /// By each consumer's warp when its products have read the stage.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void release(Thread& thread, int stage) {
    thread.sync_warp();
    const int lane = thread.index() % kLanes;
    if constexpr (kClusterBlocks == 1) {
      if (lane == 0) thread.arrive(free_at(stage));
    } else {
      if (lane < kClusterBlocks) thread.arrive_at(lane, free_at(stage));
    }
  }

  /// By each consumer's warp around the stages of its tile number `number`, of which its group is number `group`.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void begin_tile(Thread&, int, int, Place&) {}
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void end_tile(Thread&, Place&) {}

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
  LOWBIT_HOST_DEVICE static void copy(Thread& thread, const std::uint32_t* from, int stage) {
    if constexpr (kClusterBlocks == 1) {
      thread.copy_bulk(stage_at(stage), from, 4 * kStageWords, full_at(stage));
    } else {
      const int part = thread.cluster_rank() * kPartWords;
      thread.copy_bulk_to_all(kClusterBlocks, stage_at(stage) + part, from + part, 4 * kPartWords, full_at(stage));
    }
  }
};

/// The same for two groups of four warps that take turns: the second one begins a tile when the first one has come to
/// the tile's stage number kLag. So the products of one run while the other stores its sums and begins anew, and both
/// still read the activations of a stage while it is there.
template <int kAt, int kStages, int kStageWords, int kConsumerWarps, int kClusterBlocks, int kLag>
struct TurnRing : OperandRing<kAt, kStages, kStageWords, kConsumerWarps, kClusterBlocks> {
  using Ring = OperandRing<kAt, kStages, kStageWords, kConsumerWarps, kClusterBlocks>;
  static constexpr int kGroupWarps = kConsumerWarps / 2;
  static_assert(0 < kLag && kLag < kStages, "the first group needs its stages before the second one frees any");
  /// "The first group is so far", and "the second group has begun", after which the first one may say so again.
  static constexpr int kLeadAt = Ring::kEnd;
  static constexpr int kFollowAt = kLeadAt + 2;
  static constexpr int kEnd = kLeadAt + 4;

  struct Place : Ring::Place {
    int before_lead = 0;  ///< stages of the tile until the first group says that it is so far, and one
    LOWBIT_HOST_DEVICE void advance() {
      Ring::Place::advance();
      before_lead -= before_lead > 0 ? 1 : 0;
    }
  };

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void prepare(Thread& thread) {
    if (thread.index() == 0) {
      thread.start_barrier(kLeadAt, kGroupWarps);
      thread.start_barrier(kFollowAt, kGroupWarps);
    }
    Ring::prepare(thread);
  }

  /// Once for each stage of a tile.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void wait(Thread& thread, const Place& place) {
    if (place.before_lead == 1) arrive(thread, kLeadAt);
    Ring::wait(thread, place);
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void begin_tile(Thread& thread, int group, int number, Place& place) {
    if (group == 0) {
      if (number > 0) thread.wait_barrier(kFollowAt, static_cast<std::uint32_t>(number - 1) % 2);
      place.before_lead = kLag + 1;
    } else {
      thread.wait_barrier(kLeadAt, static_cast<std::uint32_t>(number) % 2);
      arrive(thread, kFollowAt);
    }
  }
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void end_tile(Thread& thread, Place& place) {
    if (place.before_lead > 0) arrive(thread, kLeadAt);
    place.before_lead = 0;
  }

 private:
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void arrive(Thread& thread, int barrier) {
    thread.sync_warp();
    if (thread.index() % kLanes == 0) thread.arrive(barrier);
  }
};

}  // namespace lowbit::kernels::cuda
