#pragma once

#include "kernels/cuda/exponential.h"
#include "kernels/cuda/layout.h"

namespace lowbit::kernels::cuda {

/// How states of an attention count that saw other tokens, each the largest score m and the sum of exp(score - m) of
/// kHeads heads: exp(m - the largest m). A warp takes a head, and a lane a state, of which there are 32 at most; what
/// is summed over them, the lanes add as a tree. All lies in shared memory from word `kAt` on.
template <int kHeads, int kAt>
struct HeadShares {
  static constexpr int kWords = kHeads * (kLanes + 2);

  struct State {
    float largest;  ///< `below_all()` without tokens
    float weights;
  };

  /// By all threads of a block together, behind a barrier; what is found may be read at once. `state_of(state, h)` is
  /// asked for by one lane for each state.
  template <typename Thread, typename StateOf>
  LOWBIT_HOST_DEVICE static void find(Thread& thread, int count, const StateOf& state_of) {
    const int h = thread.index() / kLanes;
    const int lane = thread.index() % kLanes;
    if (h < kHeads) {
      State own = {below_all(), 0.0F};
      if (lane < count) own = state_of(lane, h);
      float largest = own.largest;
      LOWBIT_UNROLL
      for (int mask = kLanes / 2; mask > 0; mask /= 2) {
        const float other = thread.shuffle_xor(largest, mask);
        largest = other > largest ? other : largest;
      }
      const float share = own.largest == below_all() ? 0.0F : exponential(own.largest - largest);
      float weights = own.weights * share;
      LOWBIT_UNROLL
      for (int mask = kLanes / 2; mask > 0; mask /= 2) weights += thread.shuffle_xor(weights, mask);
      auto shared = thread.template shared<float>();
      shared.store(kAt + lane * kHeads + h, share);
      if (lane == 0) {
        shared.store(kTotalsAt + h, largest);
        shared.store(kTotalsAt + kHeads + h, weights);
      }
    }
    thread.sync();
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE static float share(Thread& thread, int state, int h) {
    return thread.template shared<float>().load(kAt + state * kHeads + h);
  }
  /// Of all states.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static State total(Thread& thread, int h) {
    auto shared = thread.template shared<float>();
    return {shared.load(kTotalsAt + h), shared.load(kTotalsAt + kHeads + h)};
  }

 private:
  static constexpr int kTotalsAt = kAt + kHeads * kLanes;
};

}  // namespace lowbit::kernels::cuda
