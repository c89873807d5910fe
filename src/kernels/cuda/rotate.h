#pragma once

#include "kernels/cuda/eight.h"

// Queries and keys turned by their position.
namespace lowbit::kernels::cuda {

/// x cos + turned x sin of eight channels of a head, where the two halves of a head are turned into each other:
/// products and sum in float32, rounded to bfloat16 once. Heads have a multiple of 8 channels, so that four channels
/// lie in one half.
class Turn {
 public:
  /// `cos` and `sin` are the position's, [channels].
  template <typename Thread>
  LOWBIT_HOST_DEVICE Turn(Thread& thread, const float* cos, const float* sin, int channel, int channels) {
    LOWBIT_UNROLL
    for (int q = 0; q < 2; ++q) {
      const int first = channel + 4 * q;
      lower_[q] = first < channels / 2;
      partner_[q] = lower_[q] ? first + channels / 2 : first - channels / 2;
      cos_[q] = thread.read16(cos + first);
      sin_[q] = thread.read16(sin + first);
    }
    own_ = channel;
  }

  /// The thread's channels of a head as they are, and those that are turned into them.
  struct Raw {
    Word4 own;
    Word2 other[2];
  };
  template <typename Thread>
  LOWBIT_HOST_DEVICE Raw read(Thread& thread, const std::uint16_t* head) const {
    return {thread.read16(head + own_), {thread.read8(head + partner_[0]), thread.read8(head + partner_[1])}};
  }

  [[nodiscard]] LOWBIT_HOST_DEVICE Word4 turned(const Raw& raw) const {
    const Word4 other = {{raw.other[0].x[0], raw.other[0].x[1], raw.other[1].x[0], raw.other[1].x[1]}};
    const Eight x = as_floats(raw.own);
    const Eight y = as_floats(other);
    Eight result;
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) {
      const float product = y.x[i] * float_from_bits(sin_[i / 4].x[i % 4]);
      result.x[i] = fused(x.x[i], float_from_bits(cos_[i / 4].x[i % 4]), lower_[i / 4] ? -product : product);
    }
    return as_bfloat16(result);
  }

 private:
  int own_;
  int partner_[2];
  bool lower_[2];
  Word4 cos_[2];
  Word4 sin_[2];
};

}  // namespace lowbit::kernels::cuda
