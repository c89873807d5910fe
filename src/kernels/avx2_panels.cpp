#include "kernels/avx2.h"
#include "kernels/avx2_kernels.h"

// Products of many tokens. A run of a block is decoded into a panel that stays in the first-level cache, and tiles of
// six tokens by sixteen rows stay in registers while they pass through it.
namespace lowbit::kernels {

namespace {

constexpr int kTile = 6;  // tokens: twelve sums, two vectors of weights, a factor and a product fill the registers

struct Panel {
  float scales[kBlockRows];  // of scales of two levels the rows'
  std::int32_t whole_scales[kBlockRows];
  std::int32_t zeros[kBlockRows];
  // Bytes: [quad][16 rows][4]. Words: [quad][2 pairs][16 rows][2]. Floats: [column][16 rows].
  alignas(64) std::uint8_t data[kRunColumns * kBlockRows * sizeof(float)];
};

struct Tile {
  const Panel* panel;
  const Run* run;
  const std::int32_t* words;  // of the run: [word][tokens of the tile]
  float* sums;                // [token][kCallRows]
  std::int32_t* totals;       // likewise: a group's whole numbers between its runs
  const float* run_scales;    // [token], run_count apart
  const std::int32_t* run_sums;
  std::int64_t run_count;
  bool first;  // of the row's runs
  bool last;
};

// Decodes a run's quads: use(quad, half, codes).
template <int kBits, typename Use>
[[gnu::always_inline]] inline void for_each_quad(const std::uint8_t* codes, std::int32_t steps, Use&& use) {
  for (std::int32_t s = 0; s < steps; ++s) {
    const std::uint8_t* step = codes + s * (kBlockRows * kStepColumns * kBits / 8);
#pragma GCC unroll 8
    for (int quad = 0; quad < kStepQuads; ++quad) {
      use(s * kStepQuads + quad, 0, load_quad<kBits>(step, quad, 0));
      use(s * kStepQuads + quad, 1, load_quad<kBits>(step, quad, 1));
    }
  }
}

// Codes as they are, zero points and whole scales for later.
template <bool kTwoLevel>
struct ByteScheme {
  static constexpr int kWordsOfQuad = 1;
  static constexpr bool kTwoLevelScales = kTwoLevel;

  template <int kBits>
  static void decode(const Blocks&, std::int64_t, const Run& run, const std::uint8_t* codes, Panel& panel) {
    for_each_quad<kBits>(codes, run.steps, [&](std::int32_t quad, int half, __m256i bytes) {
      store(panel.data + 64 * quad + 32 * half, bytes);
    });
  }

  // A step's sums of pairs stay in int16: eight times two products of at most 15 * 127.
  template <int kTokens>
  static void multiply(const Tile& tile) {
    __m256i totals[kTokens][2];
    for (int i = 0; i < 2 * kTokens; ++i) {
      const std::int32_t* before = tile.totals + i / 2 * kCallRows + i % 2 * 8;
      totals[i / 2][i % 2] = kTwoLevel || tile.run->opens ? _mm256_setzero_si256() : load(before);
    }
    const std::uint8_t* codes = tile.panel->data;
    const std::int32_t* words = tile.words;
    for (std::int32_t s = 0; s < tile.run->steps; ++s) {
      __m256i pairs[kTokens][2] = {};
#pragma GCC unroll 8
      for (int quad = 0; quad < kStepQuads; ++quad) {
        const __m256i first = load(codes + 64 * quad);
        const __m256i second = load(codes + 64 * quad + 32);
#pragma GCC unroll 6
        for (int t = 0; t < kTokens; ++t) {
          const __m256i factor = _mm256_set1_epi32(words[quad * kTokens + t]);
          add_bytes(pairs[t][0], first, factor);
          add_bytes(pairs[t][1], second, factor);
        }
      }
#pragma GCC unroll 6
      for (int t = 0; t < kTokens; ++t) {
        add_words(totals[t][0], pairs[t][0], _mm256_set1_epi16(1));
        add_words(totals[t][1], pairs[t][1], _mm256_set1_epi16(1));
      }
      codes += 64 * kStepQuads;
      words += kStepQuads * kTokens;
    }
    for (int t = 0; t < kTokens; ++t) {
      const __m256i sum = _mm256_set1_epi32(tile.run_sums[t * tile.run_count]);
      for (int half = 0; half < 2; ++half) {
        const __m256i zeros = load(tile.panel->zeros + 8 * half);
        finish(tile, t, half, _mm256_sub_epi32(totals[t][half], _mm256_mullo_epi32(zeros, sum)));
      }
    }
  }

  // A group's last run adds to f; others leave their totals to the next.
  static void finish(const Tile& tile, int token, int half, __m256i total) {
    const int at = token * kCallRows + 8 * half;
    if constexpr (kTwoLevel) {
      total = _mm256_mullo_epi32(total, load(tile.panel->whole_scales + 8 * half));
      if (!tile.first) total = _mm256_add_epi32(total, load(tile.totals + at));
      if (!tile.last) return store(tile.totals + at, total);
      const __m256 rows = _mm256_loadu_ps(tile.panel->scales + 8 * half);
      return _mm256_storeu_ps(tile.sums + at, _mm256_mul_ps(_mm256_cvtepi32_ps(total), rows));
    }
    if (!tile.run->closes) return store(tile.totals + at, total);
    const __m256 scales = _mm256_loadu_ps(tile.panel->scales + 8 * half);
    float* f = tile.sums + at;
    _mm256_storeu_ps(f, _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scales, _mm256_loadu_ps(f)));
  }
};

// Codes less zero points as int16.
template <bool kPerRun>
struct WordScheme {
  static constexpr int kWordsOfQuad = 2;
  static constexpr bool kTwoLevelScales = false;

  template <int kBits>
  static void decode(const Blocks&, std::int64_t, const Run& run, const std::uint8_t* codes, Panel& panel) {
    __m256i zeros[2];
    for (int half = 0; half < 2; ++half) {
      const __m256i low = load(panel.zeros + 8 * half);
      zeros[half] = _mm256_or_si256(low, _mm256_slli_epi32(low, 16));
    }
    for_each_quad<kBits>(codes, run.steps, [&](std::int32_t quad, int half, __m256i bytes) {
      const __m256i even = _mm256_and_si256(bytes, _mm256_set1_epi16(255));
      const __m256i odd = _mm256_srli_epi16(bytes, 8);
      store(panel.data + 128 * quad + 32 * half, _mm256_sub_epi16(even, zeros[half]));
      store(panel.data + 128 * quad + 64 + 32 * half, _mm256_sub_epi16(odd, zeros[half]));
    });
  }

  template <int kTokens>
  static void multiply(const Tile& tile) {
    __m256i totals[kTokens][2];
#pragma GCC unroll 6
    for (int t = 0; t < kTokens; ++t) {
      const bool fresh = kPerRun || tile.run->opens;
      totals[t][0] = fresh ? _mm256_setzero_si256() : load(tile.totals + t * kCallRows);
      totals[t][1] = fresh ? _mm256_setzero_si256() : load(tile.totals + t * kCallRows + 8);
    }
    const std::uint8_t* pairs = tile.panel->data;
    const std::int32_t* words = tile.words;
    const std::int32_t count = tile.run->steps * kStepQuads * 2;
#pragma GCC unroll 2
    for (std::int32_t i = 0; i < count; ++i) {
      const __m256i first = load(pairs);
      const __m256i second = load(pairs + 32);
#pragma GCC unroll 6
      for (int t = 0; t < kTokens; ++t) {
        const __m256i factor = _mm256_set1_epi32(words[t]);
        add_words(totals[t][0], first, factor);
        add_words(totals[t][1], second, factor);
      }
      pairs += 64;
      words += kTokens;
    }
#pragma GCC unroll 6
    for (int t = 0; t < kTokens; ++t) {
      finish(tile, t, 0, totals[t][0]);
      finish(tile, t, 1, totals[t][1]);
    }
  }

  static void finish(const Tile& tile, int token, int half, __m256i total) {
    if constexpr (!kPerRun) return ByteScheme<false>::finish(tile, token, half, total);
    const __m256 scales = _mm256_loadu_ps(tile.panel->scales + 8 * half);
    const __m256 scale = _mm256_set1_ps(tile.run_scales[token * tile.run_count]);
    float* f = tile.sums + token * kCallRows + 8 * half;
    const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(total), scales);
    _mm256_storeu_ps(f, _mm256_fmadd_ps(product, scale, _mm256_loadu_ps(f)));
  }
};

// Weights as float32.
struct FloatScheme {
  static constexpr int kWordsOfQuad = 4;
  static constexpr bool kTwoLevelScales = false;

  template <int kBits>
  static void decode(const Blocks& blocks, std::int64_t block, const Run& run, const std::uint8_t* codes,
                     Panel& panel) {
    auto* weights = reinterpret_cast<float*>(panel.data);
    const bool table = blocks.zero_kind == ZeroKind::kTable;
    __m256 zeros[2] = {};
    __m256 scales[2];
    for (int half = 0; half < 2; ++half) {
      if (!table) zeros[half] = load_real_zeros(blocks, block, run.group, half);
      scales[half] = _mm256_loadu_ps(panel.scales + 8 * half);
    }
    for_each_quad<kBits>(codes, run.steps, [&](std::int32_t quad, int half, __m256i bytes) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const __m256i code = _mm256_and_si256(_mm256_srli_epi32(bytes, 8 * i), _mm256_set1_epi32(255));
        const __m256 number =
            table ? look_up<kBits>(blocks.table, code) : _mm256_sub_ps(_mm256_cvtepi32_ps(code), zeros[half]);
        _mm256_storeu_ps(weights + (4 * quad + i) * kBlockRows + 8 * half, _mm256_mul_ps(number, scales[half]));
      }
    });
    put_outliers(blocks, block, run, weights);
  }

  template <int kBits>
  [[gnu::always_inline]] static __m256 look_up(const float* table, __m256i code) {
    if constexpr (kBits == 8) return _mm256_i32gather_ps(table, code, 4);
    if constexpr (kBits == 2) return _mm256_permutevar8x32_ps(_mm256_broadcast_ps((const __m128*)table), code);
    const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), code);
    if constexpr (kBits == 3) return low;
    const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), code);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(code, 28)));
  }

  static void put_outliers(const Blocks& blocks, std::int64_t block, const Run& run, float* weights) {
    const std::int32_t begin = run.first_step * kStepColumns;
    const std::int32_t end = begin + run.columns;
    for (std::int64_t i = blocks.outlier_begin[block]; i < blocks.outlier_begin[block + 1]; ++i) {
      const std::int32_t place = blocks.outlier_columns[i];
      if (place < begin || place >= end) continue;
      weights[(place - begin) * kBlockRows + blocks.outlier_lanes[i]] = blocks.outlier_values[i];
    }
  }

  template <int kTokens>
  static void multiply(const Tile& tile) {
    __m256 f[kTokens][2];
#pragma GCC unroll 6
    for (int t = 0; t < kTokens; ++t) {
      f[t][0] = _mm256_loadu_ps(tile.sums + t * kCallRows);
      f[t][1] = _mm256_loadu_ps(tile.sums + t * kCallRows + 8);
    }
    const auto* weights = reinterpret_cast<const float*>(tile.panel->data);
    const auto* values = reinterpret_cast<const float*>(tile.words);
#pragma GCC unroll 2
    for (std::int32_t i = 0; i < tile.run->columns; ++i) {
      const __m256 first = _mm256_loadu_ps(weights);
      const __m256 second = _mm256_loadu_ps(weights + 8);
#pragma GCC unroll 6
      for (int t = 0; t < kTokens; ++t) {
        const __m256 factor = _mm256_broadcast_ss(values + t);
        f[t][0] = _mm256_fmadd_ps(factor, first, f[t][0]);
        f[t][1] = _mm256_fmadd_ps(factor, second, f[t][1]);
      }
      weights += kBlockRows;
      values += kTokens;
    }
#pragma GCC unroll 6
    for (int t = 0; t < kTokens; ++t) {
      _mm256_storeu_ps(tile.sums + t * kCallRows, f[t][0]);
      _mm256_storeu_ps(tile.sums + t * kCallRows + 8, f[t][1]);
    }
  }
};

// Codes less zero points as float32, for kBFloat16.
struct BFloatScheme {
  static constexpr int kWordsOfQuad = 4;
  static constexpr bool kTwoLevelScales = false;

  template <int kBits>
  static void decode(const Blocks&, std::int64_t, const Run& run, const std::uint8_t* codes, Panel& panel) {
    auto* weights = reinterpret_cast<float*>(panel.data);
    for_each_quad<kBits>(codes, run.steps, [&](std::int32_t quad, int half, __m256i bytes) {
      const __m256i zeros = load(panel.zeros + 8 * half);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const __m256i code = _mm256_and_si256(_mm256_srli_epi32(bytes, 8 * i), _mm256_set1_epi32(255));
        const __m256 weight = _mm256_cvtepi32_ps(_mm256_sub_epi32(code, zeros));
        _mm256_storeu_ps(weights + (4 * quad + i) * kBlockRows + 8 * half, weight);
      }
    });
  }

  template <int kTokens>
  static void multiply(const Tile& tile) {
    const auto* values = reinterpret_cast<const float*>(tile.words);
    for (int t = 0; t < kTokens; ++t) multiply_token(tile, t, values + t, kTokens);
  }

  // A step's even and odd columns are two chains for each half of the rows.
  static void multiply_token(const Tile& tile, int token, const float* values, int stride) {
    const auto* weights = reinterpret_cast<const float*>(tile.panel->data);
    auto* totals = reinterpret_cast<float*>(tile.totals + token * kCallRows);
    __m256 sums[2] = {};
    for (int half = 0; half < 2 && !tile.run->opens; ++half) sums[half] = _mm256_loadu_ps(totals + 8 * half);
    for (std::int32_t step = 0; step < tile.run->steps; ++step) {
      __m256 parts[2][2] = {};
#pragma GCC unroll 32
      for (int i = 0; i < kStepColumns; ++i) {
        const __m256 factor = _mm256_broadcast_ss(values);
        parts[i % 2][0] = _mm256_fmadd_ps(factor, _mm256_loadu_ps(weights), parts[i % 2][0]);
        parts[i % 2][1] = _mm256_fmadd_ps(factor, _mm256_loadu_ps(weights + 8), parts[i % 2][1]);
        weights += kBlockRows;
        values += stride;
      }
      for (int half = 0; half < 2; ++half) {
        sums[half] = _mm256_add_ps(sums[half], _mm256_add_ps(parts[0][half], parts[1][half]));
      }
    }
    float* target = tile.run->closes ? tile.sums + token * kCallRows : totals;
    for (int half = 0; half < 2; ++half) {
      const __m256 scales = _mm256_loadu_ps(tile.panel->scales + 8 * half);
      const __m256 before = _mm256_loadu_ps(target + 8 * half);
      const __m256 after = tile.run->closes ? _mm256_fmadd_ps(sums[half], scales, before) : sums[half];
      _mm256_storeu_ps(target + 8 * half, after);
    }
  }
};

template <typename Scheme>
void decode_run(const Blocks& blocks, std::int64_t block, const Run& run, Panel& panel) {
  for (int half = 0; half < 2; ++half) {
    if constexpr (Scheme::kTwoLevelScales) {
      store(panel.whole_scales + 8 * half, load_whole_scales(blocks, block, run.group, half));
      _mm256_storeu_ps(panel.scales + 8 * half, load_row_scales(blocks, block, half));
    } else {
      _mm256_storeu_ps(panel.scales + 8 * half, load_scales(blocks, block, run.group, half));
    }
    const bool whole = blocks.zero_kind == ZeroKind::kByte || blocks.zero_kind == ZeroKind::kUniform;
    if (whole) store(panel.zeros + 8 * half, load_zeros(blocks, block, run.group, half));
  }
  const std::uint8_t* codes =
      block_data(blocks, block) + blocks.code_offset + std::int64_t{run.first_step} * blocks.step_bytes;
  switch (blocks.packed_bits) {
    case 2: return Scheme::template decode<2>(blocks, block, run, codes, panel);
    case 3: return Scheme::template decode<3>(blocks, block, run, codes, panel);
    case 4: return Scheme::template decode<4>(blocks, block, run, codes, panel);
    default: return Scheme::template decode<8>(blocks, block, run, codes, panel);
  }
}

template <typename Scheme>
void multiply_tile(const Tile& tile, std::int64_t tokens) {
  switch (tokens) {
    case 1: return Scheme::template multiply<1>(tile);
    case 2: return Scheme::template multiply<2>(tile);
    case 3: return Scheme::template multiply<3>(tile);
    case 4: return Scheme::template multiply<4>(tile);
    case 5: return Scheme::template multiply<5>(tile);
    default: return Scheme::template multiply<kTile>(tile);
  }
}

template <typename Scheme>
void multiply_call(const Call& call) {
  Panel panels[kCallBlocks];
  alignas(64) std::int32_t totals[kCallTokens * kCallRows];
  const Blocks& blocks = *call.blocks;
  const Run& last = blocks.runs[blocks.run_count - 1];
  const std::int64_t token_words = std::int64_t{last.first_step + last.steps} * kStepQuads * Scheme::kWordsOfQuad;
  for (std::int64_t r = 0; r < blocks.run_count; ++r) {
    const Run& run = blocks.runs[r];
    for (std::int64_t b = 0; b < call.block_count; ++b) {
      decode_run<Scheme>(blocks, call.first_block + b, run, panels[b]);
    }
    const std::int64_t run_word = std::int64_t{run.first_step} * kStepQuads * Scheme::kWordsOfQuad;
    for (std::int64_t token = 0; token < call.tokens; token += kTile) {
      const std::int64_t tokens = call.tokens - token < kTile ? call.tokens - token : kTile;
      const auto* words = static_cast<const std::int32_t*>(call.values) + token * token_words + run_word * tokens;
      for (std::int64_t b = 0; b < call.block_count; ++b) {
        const std::int64_t at = token * kCallRows + b * kBlockRows;
        const std::int64_t parameters = token * blocks.run_count + r;
        multiply_tile<Scheme>({&panels[b], &run, words, call.sums + at, totals + at, call.run_scales + parameters,
                               call.run_sums + parameters, blocks.run_count, r == 0, r + 1 == blocks.run_count},
                              tokens);
      }
    }
  }
}

}  // namespace

void avx2_panel_int8(const Call& call) { multiply_call<ByteScheme<false>>(call); }
void avx2_panel_two_level(const Call& call) { multiply_call<ByteScheme<true>>(call); }
void avx2_panel_int8_wide(const Call& call) { multiply_call<WordScheme<false>>(call); }
void avx2_panel_int16(const Call& call) { multiply_call<WordScheme<true>>(call); }
void avx2_panel_float32(const Call& call) { multiply_call<FloatScheme>(call); }
void avx2_panel_bfloat16(const Call& call) { multiply_call<BFloatScheme>(call); }

const KernelTable& avx2_kernels() {
  static constexpr KernelTable kTable = {
      {"direct, bytes", Form::kBytes, 4, avx2_direct_int8},
      {"direct, 16-bit words", Form::kWords, 2, avx2_direct_int8_wide},
      {"direct, two planes of bytes", Form::kTwoPlanes, 2, avx2_direct_int16},
      {"direct, 16-bit words", Form::kWords, 2, avx2_direct_int16_wide},
      {"panels of bytes", Form::kBytes, kTile, avx2_panel_int8},
      {"panels of 16-bit words", Form::kWords, kTile, avx2_panel_int8_wide},
      {"panels of 16-bit words", Form::kWords, kTile, avx2_panel_int16},
      {"panels of float32", Form::kFloats, kTile, avx2_panel_float32},
      {"direct, bytes", Form::kBytes, 4, avx2_direct_two_level},
      {"panels of bytes", Form::kBytes, kTile, avx2_panel_two_level},
      {"panels of float32", Form::kFloats, kTile, avx2_panel_bfloat16},
  };
  return kTable;
}

}  // namespace lowbit::kernels
