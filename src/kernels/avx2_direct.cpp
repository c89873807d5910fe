#include "kernels/avx2.h"
#include "kernels/avx2_kernels.h"

// Products of a few tokens: codes go from memory to the multiplier, and every byte of the matrix is read once.
namespace lowbit::kernels {

namespace {

// Bytes ahead of their use that codes are asked for: the hardware's prefetch alone does not keep enough lines of memory
// in flight.
constexpr std::int64_t kAhead = 2048;

template <int kTokens>
struct Sums {
  __m256 f[kTokens][2];
};

// What a run leaves in whole numbers (zero points taken off already) joins f.
template <bool kPerRun>
[[gnu::always_inline]] inline void add_run(const Call& call, std::int64_t index, std::int64_t token, __m256i total,
                                           __m256 scales, __m256& f) {
  const __m256 sum = _mm256_cvtepi32_ps(total);
  if constexpr (kPerRun) {
    const float scale = call.run_scales[token * call.blocks->run_count + index];
    f = _mm256_fmadd_ps(_mm256_mul_ps(sum, scales), _mm256_set1_ps(scale), f);
  } else {
    f = _mm256_fmadd_ps(sum, scales, f);
  }
}

template <int kTokens>
[[gnu::always_inline]] inline void store_sums(const Call& call, std::int64_t b, const Sums<kTokens>& sums) {
#pragma GCC unroll 4
  for (int t = 0; t < kTokens; ++t) {
    _mm256_storeu_ps(call.sums + t * kCallRows + b * kBlockRows, sums.f[t][0]);
    _mm256_storeu_ps(call.sums + t * kCallRows + b * kBlockRows + 8, sums.f[t][1]);
  }
}

template <int kBytes>
[[gnu::always_inline]] inline void prefetch_step(const std::uint8_t* step) {
#pragma GCC unroll 8
  for (int line = 0; line < kBytes; line += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(step + kAhead + line), _MM_HINT_T0);
  }
}

// Of a token's activations, up to the end of a run.
[[gnu::always_inline]] inline std::int32_t group_sum(const Call& call, std::int64_t token, std::int64_t run) {
  const std::int32_t* run_sums = call.run_sums + token * call.blocks->run_count;
  std::int32_t sum = run_sums[run];
  while (!call.blocks->runs[run].opens) sum += run_sums[--run];
  return sum;
}

// Codes of up to 4 bits by activations of one or two planes of bytes. Within a step a sum of pairs stays in int16:
// eight times two products of at most 15 * 128.
template <int kBits, int kPlanes, int kTokens, bool kTwoLevel = false>
void direct_narrow(const Call& call, std::int64_t b) {
  constexpr int kStepBytes = kBlockRows * kStepColumns * kBits / 8;
  const Blocks& blocks = *call.blocks;
  const std::int64_t block = call.first_block + b;
  const std::uint8_t* step = block_data(blocks, block) + blocks.code_offset;
  const auto* words = static_cast<const std::int32_t*>(call.values);
  Sums<kTokens> result = {};
  __m256i totals[kTokens][kPlanes][2] = {};
  __m256i row_totals[kTokens][2] = {};  // of scales of two levels
  for (std::int64_t r = 0; r < blocks.run_count; ++r) {
    const Run& run = blocks.runs[r];
    for (std::int32_t s = 0; s < run.steps; ++s) {
      prefetch_step<kStepBytes>(step);
      __m256i pairs[kTokens][kPlanes][2] = {};
#pragma GCC unroll 8
      for (int quad = 0; quad < kStepQuads; ++quad) {
        const __m256i codes[2] = {load_quad<kBits>(step, quad, 0), load_quad<kBits>(step, quad, 1)};
#pragma GCC unroll 8
        for (int i = 0; i < kPlanes * kTokens; ++i) {
          const __m256i factor = _mm256_set1_epi32(words[quad * kPlanes * kTokens + i]);
          __m256i* sums = pairs[i % kTokens][i / kTokens];
          add_bytes(sums[0], codes[0], factor);
          add_bytes(sums[1], codes[1], factor);
        }
      }
#pragma GCC unroll 8
      for (int i = 0; i < kPlanes * kTokens; ++i) {
        __m256i* sums = totals[i % kTokens][i / kTokens];
        add_words(sums[0], pairs[i % kTokens][i / kTokens][0], _mm256_set1_epi16(1));
        add_words(sums[1], pairs[i % kTokens][i / kTokens][1], _mm256_set1_epi16(1));
      }
      step += kStepBytes;
      words += kStepQuads * kPlanes * kTokens;
    }
    if (kPlanes == 1 && !run.closes) continue;
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const __m256 scales = kTwoLevel ? __m256{} : load_scales(blocks, block, run.group, half);
      const __m256i whole = kTwoLevel ? load_whole_scales(blocks, block, run.group, half) : __m256i{};
      const __m256i zeros = load_zeros(blocks, block, run.group, half);
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) {
        __m256i total = totals[t][0][half];
        if constexpr (kPlanes == 2) total = _mm256_add_epi32(_mm256_slli_epi32(total, 8), totals[t][1][half]);
        const std::int32_t sum = kPlanes == 2 ? call.run_sums[t * blocks.run_count + r] : group_sum(call, t, r);
        total = _mm256_sub_epi32(total, _mm256_mullo_epi32(zeros, _mm256_set1_epi32(sum)));
        if constexpr (kTwoLevel) {
          row_totals[t][half] = _mm256_add_epi32(row_totals[t][half], _mm256_mullo_epi32(total, whole));
        } else {
          add_run<kPlanes == 2>(call, r, t, total, scales, result.f[t][half]);
        }
        for (int plane = 0; plane < kPlanes; ++plane) totals[t][plane][half] = _mm256_setzero_si256();
      }
    }
  }
  for (int i = 0; kTwoLevel && i < 2 * kTokens; ++i) {
    const __m256 sum = _mm256_cvtepi32_ps(row_totals[i / 2][i % 2]);
    result.f[i / 2][i % 2] = _mm256_mul_ps(sum, load_row_scales(blocks, block, i % 2));
  }
  store_sums(call, b, result);
}

// Codes of 8 bits by activations of int16.
template <bool kPerRun, int kTokens>
void direct_wide(const Call& call, std::int64_t b) {
  constexpr int kStepBytes = kBlockRows * kStepColumns;
  const Blocks& blocks = *call.blocks;
  const std::int64_t block = call.first_block + b;
  const std::uint8_t* step = block_data(blocks, block) + blocks.code_offset;
  const auto* words = static_cast<const std::int32_t*>(call.values);
  Sums<kTokens> result = {};
  __m256i totals[kTokens][2] = {};
  for (std::int64_t r = 0; r < blocks.run_count; ++r) {
    const Run& run = blocks.runs[r];
    for (std::int32_t s = 0; s < run.steps; ++s) {
      prefetch_step<kStepBytes>(step);
#pragma GCC unroll 8
      for (int quad = 0; quad < kStepQuads; ++quad) {
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
          const __m256i codes = load_quad<8>(step, quad, half);
          const __m256i even = _mm256_and_si256(codes, _mm256_set1_epi16(255));
          const __m256i odd = _mm256_srli_epi16(codes, 8);
#pragma GCC unroll 4
          for (int t = 0; t < kTokens; ++t) {
            add_words(totals[t][half], even, _mm256_set1_epi32(words[2 * quad * kTokens + t]));
            add_words(totals[t][half], odd, _mm256_set1_epi32(words[(2 * quad + 1) * kTokens + t]));
          }
        }
      }
      step += kStepBytes;
      words += 2 * kStepQuads * kTokens;
    }
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const __m256 scales = load_scales(blocks, block, run.group, half);
      const __m256i zeros = load_zeros(blocks, block, run.group, half);
#pragma GCC unroll 4
      for (int t = 0; t < kTokens; ++t) {
        const __m256i sum = _mm256_set1_epi32(call.run_sums[t * blocks.run_count + r]);
        totals[t][half] = _mm256_sub_epi32(totals[t][half], _mm256_mullo_epi32(zeros, sum));
        if (!kPerRun && !run.closes) continue;
        add_run<kPerRun>(call, r, t, totals[t][half], scales, result.f[t][half]);
        totals[t][half] = _mm256_setzero_si256();
      }
    }
  }
  store_sums(call, b, result);
}

using BlockKernel = void (*)(const Call& call, std::int64_t b);

void run_blocks(const Call& call, BlockKernel kernel) {
  for (std::int64_t b = 0; b < call.block_count; ++b) kernel(call, b);
}

template <int kPlanes, int kTokens, bool kTwoLevel = false>
BlockKernel narrow_kernel(int bits) {
  if (bits == 4) return direct_narrow<4, kPlanes, kTokens, kTwoLevel>;
  return bits == 3 ? direct_narrow<3, kPlanes, kTokens, kTwoLevel> : direct_narrow<2, kPlanes, kTokens, kTwoLevel>;
}

template <bool kTwoLevel>
void direct_bytes(const Call& call) {
  const int bits = call.blocks->packed_bits;
  switch (call.tokens) {
    case 1: return run_blocks(call, narrow_kernel<1, 1, kTwoLevel>(bits));
    case 2: return run_blocks(call, narrow_kernel<1, 2, kTwoLevel>(bits));
    case 3: return run_blocks(call, narrow_kernel<1, 3, kTwoLevel>(bits));
    default: return run_blocks(call, narrow_kernel<1, 4, kTwoLevel>(bits));
  }
}

}  // namespace

void avx2_direct_int8(const Call& call) { direct_bytes<false>(call); }
void avx2_direct_two_level(const Call& call) { direct_bytes<true>(call); }

void avx2_direct_int16(const Call& call) {
  const int bits = call.blocks->packed_bits;
  return run_blocks(call, call.tokens == 1 ? narrow_kernel<2, 1>(bits) : narrow_kernel<2, 2>(bits));
}

void avx2_direct_int8_wide(const Call& call) {
  run_blocks(call, call.tokens == 1 ? direct_wide<false, 1> : direct_wide<false, 2>);
}

void avx2_direct_int16_wide(const Call& call) {
  run_blocks(call, call.tokens == 1 ? direct_wide<true, 1> : direct_wide<true, 2>);
}

}  // namespace lowbit::kernels
