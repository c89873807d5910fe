#pragma once

#include "kernels/cuda/arrival.h"
#include "kernels/cuda/exponential.h"

// What the kernels of attention share: sums of values under softmax that several parts of a sequence leave, joined in
// the order of parts.
namespace lowbit::kernels::cuda {

/// A number for each head, side by side from word `at` of shared memory.
template <int kHeads, typename Shared>
LOWBIT_HOST_DEVICE inline void store_heads(Shared& shared, int at, const float (&numbers)[kHeads]) {
  static_assert(kHeads == 1 || kHeads == 4);
  if constexpr (kHeads == 4) {
    shared.store16(at, {{bits_of_float(numbers[0]), bits_of_float(numbers[1]), bits_of_float(numbers[2]),
                         bits_of_float(numbers[3])}});
  } else {
    shared.store(at, numbers[0]);
  }
}
template <int kHeads, typename Shared>
LOWBIT_HOST_DEVICE inline void load_heads(const Shared& shared, int at, float (&numbers)[kHeads]) {
  if constexpr (kHeads == 4) {
    const Word4 words = shared.load16(at);
    LOWBIT_UNROLL
    for (int h = 0; h < kHeads; ++h) numbers[h] = float_from_bits(words.x[h]);
  } else {
    numbers[0] = shared.load(at);
  }
}

/// Four numbers side by side, which begin on 16 bytes.
template <typename Shared>
LOWBIT_HOST_DEVICE inline void load_four(const Shared& shared, int at, float* numbers) {
  const Word4 words = shared.load16(at);
  LOWBIT_UNROLL
  for (int i = 0; i < 4; ++i) numbers[i] = float_from_bits(words.x[i]);
}

/// States of kHeads heads, each the largest score m, the sum of exp(score - m), and the values' sums with these
/// weights. The first two of up to kMost states lie in shared memory from word `kAt` on, the sums where `value(state)`
/// finds them.
template <int kHeads, int kThreads, int kMost, int kAt>
struct AttentionJoin {
  static constexpr int kWords = 3 * kHeads * kMost;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static void store(Thread& thread, int state, int h, float largest, float weights) {
    auto shared = thread.template shared<float>();
    shared.store(kAt + state * kHeads + h, largest);
    shared.store(kWeightsAt + state * kHeads + h, weights);
  }

  /// All threads together, behind their stores: what each state counts for, exp(its m - the largest); nothing without
  /// tokens.
  template <typename Thread>
  LOWBIT_HOST_DEVICE static void share(Thread& thread, int count) {
    auto shared = thread.template shared<float>();
    thread.sync();
    for (int e = thread.index(); e < kHeads * count; e += kThreads) {
      const float own = shared.load(kAt + e);
      const float share = own == below_all() ? 0.0F : exponential(own - largest_of(thread, count, e % kHeads));
      shared.store(kSharesAt + e, share);
    }
    thread.sync();
  }

  struct Joined {
    float largest;
    float weights;
    float sum;
  };
  /// Of one channel.
  template <typename Thread, typename Value>
  LOWBIT_HOST_DEVICE static Joined join(Thread& thread, int count, int h, const Value& value) {
    auto shared = thread.template shared<float>();
    Joined joined = {largest_of(thread, count, h), 0.0F, 0.0F};
    for (int s = 0; s < count; ++s) {
      const float share = shared.load(kSharesAt + s * kHeads + h);
      joined.weights = fused(shared.load(kWeightsAt + s * kHeads + h), share, joined.weights);
      joined.sum = fused(value(s), share, joined.sum);
    }
    return joined;
  }

  /// As a state in the GPU's memory, for who joins it with others.
  LOWBIT_HOST_DEVICE static void leave(float* state, int channel, const Joined& joined) {
    if (channel == 0) {
      state[0] = joined.largest;
      state[1] = joined.weights;
    }
    state[2 + channel] = joined.sum;
  }

  /// States that other blocks left: `state_at(state, h)` is null for a head that is not there.
  template <typename Thread, typename StateAt>
  LOWBIT_HOST_DEVICE static void fetch(Thread& thread, int count, const StateAt& state_at) {
    for (int e = thread.index(); e < kHeads * count; e += kThreads) {
      const float* state = state_at(e / kHeads, e % kHeads);
      const bool present = state != nullptr;
      store(thread, e / kHeads, e % kHeads, present ? thread.read_shared_by_blocks(state) : below_all(),
            present ? thread.read_shared_by_blocks(state + 1) : 0.0F);
    }
    share(thread, count);
  }

 private:
  static constexpr int kWeightsAt = kAt + kHeads * kMost;
  static constexpr int kSharesAt = kWeightsAt + kHeads * kMost;

  template <typename Thread>
  LOWBIT_HOST_DEVICE static float largest_of(Thread& thread, int count, int h) {
    auto shared = thread.template shared<float>();
    float largest = below_all();
    for (int s = 0; s < count; ++s) {
      const float other = shared.load(kAt + s * kHeads + h);
      largest = other > largest ? other : largest;
    }
    return largest;
  }
};

}  // namespace lowbit::kernels::cuda
