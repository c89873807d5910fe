#pragma once

#include "kernels/cuda/hopper_bytes_input.h"
#include "kernels/cuda/load_eight.h"
#include "kernels/cuda/output.h"

// What kernels that round activations token by token have in common: how they read a row, find its largest magnitude,
// and lay bytes out for Hopper's matrix instruction.
namespace lowbit::kernels::cuda {

struct TokenRowsCall {
  const void* input;  ///< [tokens][stride] of `kind`
  NumberKind kind;
  std::int64_t stride;
  std::int32_t tokens;
  std::int32_t columns;
  const std::int32_t* sources;  ///< as `Packed::sources_at`
  std::int32_t steps;
};

/// As bits without a sign numbers are ordered like magnitudes, and infinities and NaN are above all others.
inline constexpr std::uint32_t kInfiniteMagnitude = 0x7F800000U;
LOWBIT_HOST_DEVICE inline std::uint32_t magnitude_of(float value) { return bits_of_float(value) & 0x7FFFFFFFU; }
LOWBIT_HOST_DEVICE inline std::uint32_t larger_of(std::uint32_t a, std::uint32_t b) { return a > b ? a : b; }

/// So many warps take a token; no bit depends on how many. A thread takes eight places side by side at once, and keeps
/// the first four of these in registers, so that they are read once.
template <int kTokenWarps>
class TokenRows {
 public:
  static constexpr int kThreads = 256;
  static constexpr int kResidentBlocks = 2;
  static constexpr int kTokenThreads = kTokenWarps * kLanes;
  static constexpr int kTokens = kThreads / kTokenThreads;  ///< of a block

 protected:
  static constexpr int kKept = 4;

  /// `words`: of shared memory for each token.
  template <typename Thread>
  LOWBIT_HOST_DEVICE TokenRows(Thread& thread, const TokenRowsCall& call, int words)
      : within_(thread.index() % kTokenThreads),
        token_(thread.block(0) * kTokens + thread.index() / kTokenThreads),
        present_(token_ < call.tokens),
        warps_at_(thread.index() / kTokenThreads * words) {}

  LOWBIT_HOST_DEVICE static int eights(const TokenRowsCall& call) { return call.steps * (kStepColumns / 8); }

  // Eight numbers of a row, which begins with number `row` of `base`.
  template <typename Thread>
  LOWBIT_HOST_DEVICE Eight load_row(Thread& thread, const TokenRowsCall& call, const void* base, std::int64_t row,
                                    int eight) const {
    Eight result = {};
    if (!present_ || eight >= eights(call)) return result;
    const int place = eight * 8;
    const auto address = reinterpret_cast<std::uintptr_t>(address_of(call.kind, base, row + place));
    if (call.sources == nullptr && place + 8 <= call.columns && address % 16 == 0) {
      return load_eight(thread, call.kind, base, row + place);
    }
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) result.x[i] = value_at(call, base, row, place + i);
    return result;
  }
  LOWBIT_HOST_DEVICE float value_at(const TokenRowsCall& call, const void* base, std::int64_t row, int place) const {
    const int column = call.sources != nullptr ? call.sources[place] : place;
    if (column < 0 || column >= call.columns) return 0.0F;
    return load_number(call.kind, base, row + column);
  }

  // `use(number of an eight, its values)` for all that the thread takes; the first ones are kept, or were. `load(number
  // of an eight)` gives what is not.
  template <bool kLoads, typename Load, typename Use>
  LOWBIT_HOST_DEVICE void for_eights(const TokenRowsCall& call, Eight (&kept)[kKept], const Load& load,
                                     const Use& use) const {
    LOWBIT_UNROLL
    for (int k = 0; k < kKept; ++k) {
      if (k * kTokenThreads >= eights(call)) return;
      if constexpr (kLoads) kept[k] = load(within_ + k * kTokenThreads);
      use(within_ + k * kTokenThreads, kept[k]);
    }
    for (int base = kKept * kTokenThreads; base < eights(call); base += kTokenThreads) {
      use(within_ + base, load(within_ + base));
    }
  }

  LOWBIT_HOST_DEVICE static std::uint32_t largest_magnitude(const Eight& values) {
    std::uint32_t largest = 0;
    LOWBIT_UNROLL
    for (int i = 0; i < 8; ++i) largest = larger_of(largest, magnitude_of(values.x[i]));
    return largest;
  }
  // The largest magnitude of a thread becomes that of its warp, and behind a barrier that of the token.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void share_largest(Thread& thread, std::uint32_t largest) const {
    LOWBIT_UNROLL
    for (int mask = kLanes / 2; mask > 0; mask /= 2) largest = larger_of(largest, thread.shuffle_xor(largest, mask));
    if (within_ % kLanes == 0) thread.template shared<std::uint32_t>().store(warps_at_ + within_ / kLanes, largest);
  }
  template <typename Thread>
  LOWBIT_HOST_DEVICE std::uint32_t largest_of_token(Thread& thread) const {
    const auto shared = thread.template shared<std::uint32_t>();
    std::uint32_t largest = 0;
    LOWBIT_UNROLL
    for (int w = 0; w < kTokenWarps; ++w) largest = larger_of(largest, shared.load(warps_at_ + w));
    return largest;
  }

  // Each four of the eight places, which are side by side in the operand too. `bytes`: [blocks of so many
  // tokens][chunks][operands].
  LOWBIT_HOST_DEVICE void lay_out(const TokenRowsCall& call, int block_tokens, std::uint8_t* bytes, int eight,
                                  const std::uint32_t (&fours)[2]) const {
    const int step = eight / 4;
    const int chunks = (call.steps + kChunkSteps - 1) / kChunkSteps;
    const std::int64_t block = std::int64_t{token_ / block_tokens} * chunks + step / kChunkSteps;
    std::uint8_t* operands = bytes + block * block_tokens * (kChunkSteps * kByteDepth);
    LOWBIT_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int depth = byte_depth_of_place(step % kChunkSteps * kStepColumns + eight % 4 * 8 + i * 4);
      const std::int64_t at = byte_operand_offset(block_tokens, token_ % block_tokens, depth);
      *reinterpret_cast<std::uint32_t*>(operands + at) = fours[i];
    }
  }
  // Zeros in the steps that the last chunk lacks.
  LOWBIT_HOST_DEVICE void lay_out_end(const TokenRowsCall& call, int block_tokens, std::uint8_t* bytes) const {
    const int end = (call.steps + kChunkSteps - 1) / kChunkSteps * kChunkSteps * (kStepColumns / 8);
    for (int eight = eights(call) + within_; present_ && eight < end; eight += kTokenThreads) {
      lay_out(call, block_tokens, bytes, eight, {0, 0});
    }
  }

  int within_;  // the thread's number among the token's
  int token_;
  bool present_;
  int warps_at_;  // in shared memory: the largest magnitude of each warp
};

}  // namespace lowbit::kernels::cuda
