#pragma once

#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/unrolled.h"

// Kernels on vectors of 64 bytes: a quad of a block's sixteen rows, or sixteen numbers of 32 bits. `Simd` has the
// operations: the processor's (avx512_simd.h), or a plain model of them (tests/kernels/simd_model.h), so that this
// source runs everywhere. Integers take activations of bytes: one plane for kInt8, two for kInt16.
namespace lowbit::kernels {

template <typename Simd>
class Wide {
  using V = typename Simd::Integers;
  using F = typename Simd::Floats;

 public:
  template <int kPlanes>
  static constexpr int kTile = 12 / kPlanes;  // enough sums to hide the latency of a product
  static constexpr int kDirectTokens = 4;
  /// How far ahead a product of few tokens asks for codes, in the second-level cache and in the first: the processor's
  /// own prefetching ends with a page, and the first level can wait for too few lines to hide the memory.
  static constexpr int kFarBytes = 8192;
  static constexpr int kNearBytes = 2048;

  /// For two planes kRun.
  template <int kPlanes, Ends kEnds>
  static void direct(const Call& call) {
    switch (call.blocks->packed_bits) {
      case 2: return direct_blocks<2, kPlanes, kEnds>(call);
      case 3: return direct_blocks<3, kPlanes, kEnds>(call);
      case 4: return direct_blocks<4, kPlanes, kEnds>(call);
      default: return direct_blocks<8, kPlanes, kEnds>(call);
    }
  }

  template <int kPlanes>
  static void panels(const Call& call) {
    alignas(64) std::uint8_t codes[kCallBlocks][kRunColumns * kBlockRows];
    alignas(64) std::int32_t totals[kCallTokens * kCallRows];
    const std::int64_t token_words = places(*call.blocks) / 4 * kPlanes;
    for (std::int64_t r = 0; r < call.blocks->run_count; ++r) {
      const Run& run = call.blocks->runs[r];
      for (std::int64_t b = 0; b < call.block_count; ++b)
        decode_codes(*call.blocks, call.first_block + b, run, codes[b]);
      for (std::int64_t token = 0; token < call.tokens; token += kTile<kPlanes>) {
        const std::int64_t left = call.tokens - token;
        const int tokens = static_cast<int>(left < kTile<kPlanes> ? left : kTile<kPlanes>);
        const auto* words = static_cast<const std::int32_t*>(call.values) + token * token_words +
                            std::int64_t{run.first_step} * kStepQuads * kPlanes * tokens;
        // Blocks in pairs: a factor is loaded once for both, and the units of products are what is waited for.
        for (std::int64_t b = 0; b < call.block_count; b += 2) {
          const Place place{&call, r, token, b, totals + token * kCallRows + b * kBlockRows};
          if (b + 1 < call.block_count) {
            multiply_codes<kPlanes, kTile<kPlanes>, 2>(place, codes[b], words, tokens);
          } else {
            multiply_codes<kPlanes, kTile<kPlanes>, 1>(place, codes[b], words, tokens);
          }
        }
      }
    }
  }

  static void float_panels(const Call& call) {
    alignas(64) float weights[2][kRunColumns * kBlockRows];
    const std::int64_t token_words = places(*call.blocks);
    for (std::int64_t b = 0; b < call.block_count; b += 2) {
      const bool two = b + 1 < call.block_count;
      for (std::int64_t r = 0; r < call.blocks->run_count; ++r) {
        const Run& run = call.blocks->runs[r];
        for (int i = 0; i < (two ? 2 : 1); ++i) {
          decode_weights(*call.blocks, call.first_block + b + i, run, weights[i]);
        }
        for (std::int64_t token = 0; token < call.tokens; token += kTile<1>) {
          const std::int64_t left = call.tokens - token;
          const int tokens = static_cast<int>(left < kTile<1> ? left : kTile<1>);
          const auto* values = static_cast<const float*>(call.values) + token * token_words +
                               std::int64_t{run.first_step} * kStepColumns * tokens;
          float* sums = call.sums + token * kCallRows + b * kBlockRows;
          if (two) {
            multiply_weights<kTile<1>, 2>(run, weights[0], values, tokens, sums);
          } else {
            multiply_weights<kTile<1>, 1>(run, weights[0], values, tokens, sums);
          }
        }
      }
    }
  }

  static std::int64_t places(const Blocks& blocks) {
    const Run& last = blocks.runs[blocks.run_count - 1];
    return std::int64_t{last.first_step + last.steps} * kStepColumns;
  }

  static const std::uint8_t* block_data(const Blocks& blocks, std::int64_t block) {
    return blocks.data + block * blocks.block_bytes;
  }
  static V load_zeros(const Blocks& blocks, std::int64_t block, std::int64_t group) {
    if (blocks.zero_kind == ZeroKind::kUniform) return Simd::broadcast(blocks.uniform_zero);
    return Simd::load_bytes(block_data(blocks, block) + blocks.zero_offset + group * kBlockRows);
  }
  static F load_scales(const Blocks& blocks, std::int64_t block, std::int64_t group) {
    const std::uint8_t* scales = block_data(blocks, block);
    if (blocks.row_scale_offset != 0) {
      const F whole = Simd::to_floats(load_whole_scales(blocks, block, group));
      return Simd::multiply_floats(whole, load_row_scales(blocks, block));
    }
    switch (blocks.scale_kind) {
      case ScaleKind::kFloat16: return Simd::load_halves(scales + 2 * group * kBlockRows);
      case ScaleKind::kBFloat16: return Simd::load_bfloats(scales + 2 * group * kBlockRows);
      case ScaleKind::kFloat32: break;
    }
    return Simd::load_floats(scales + 4 * group * kBlockRows);
  }
  /// Of scales of two levels.
  static V load_whole_scales(const Blocks& blocks, std::int64_t block, std::int64_t group) {
    return Simd::load_bytes(block_data(blocks, block) + group * kBlockRows);
  }
  static F load_row_scales(const Blocks& blocks, std::int64_t block) {
    return Simd::load_floats(block_data(blocks, block) + blocks.row_scale_offset);
  }

  /// use(quad, codes) for a run's quads.
  template <typename Use>
  static void with_quads(const Blocks& blocks, std::int64_t block, const Run& run, Use&& use) {
    const std::uint8_t* codes =
        block_data(blocks, block) + blocks.code_offset + std::int64_t{run.first_step} * blocks.step_bytes;
    switch (blocks.packed_bits) {
      case 2: return each_quad<2>(codes, run.steps, use);
      case 3: return each_quad<3>(codes, run.steps, use);
      case 4: return each_quad<4>(codes, run.steps, use);
      default: return each_quad<8>(codes, run.steps, use);
    }
  }

  /// A run's codes, [quad][16 rows][4].
  static void decode_codes(const Blocks& blocks, std::int64_t block, const Run& run, std::uint8_t* codes) {
    with_quads(blocks, block, run, [&](std::int32_t quad, V bytes) { Simd::store(codes + 64 * quad, bytes); });
  }

  /// Where the sums of one token tile and block go.
  struct Place {
    const Call* call;
    std::int64_t run;
    std::int64_t token;    ///< the tile's first
    std::int64_t block;    ///< within the call
    std::int32_t* totals;  ///< [token][kCallRows]: a group's whole numbers between its runs
  };

  /// What ends a run for one token tile and block: takes the zero points off sums of codes times activations (for two
  /// planes: 256 high + low), and adds them to f, or to their group's.
  template <Ends kEnds>
  class RunEnd {
   public:
    explicit RunEnd(const Place& place) {
      const Call& call = *place.call;
      const Blocks& blocks = *call.blocks;
      const Run& run = blocks.runs[place.run];
      const std::int64_t block = call.first_block + place.block;
      zeros_ = load_zeros(blocks, block, run.group);
      runs_ = blocks.run_count;
      const std::int64_t parameter = place.token * runs_ + place.run;
      run_sums_ = call.run_sums + parameter;
      run_scales_ = kEnds == Ends::kRun ? call.run_scales + parameter : nullptr;
      sums_ = call.sums + place.token * kCallRows + place.block * kBlockRows;
      totals_ = place.totals;
      if constexpr (kEnds == Ends::kRow) {
        whole_scales_ = load_whole_scales(blocks, block, run.group);
        scales_ = load_row_scales(blocks, block);
        opens_ = place.run == 0;
        closes_ = place.run + 1 == runs_;
      } else {
        scales_ = load_scales(blocks, block, run.group);
        opens_ = run.opens;
        closes_ = run.closes;
      }
    }

    [[gnu::always_inline]] void add(std::int64_t t, V total) const {
      const V activations = Simd::broadcast(run_sums_[t * runs_]);
      float* sums = sums_ + t * kCallRows;
      if constexpr (kEnds == Ends::kRun) {
        total = Simd::subtract(total, Simd::multiply(zeros_, activations));
        const F scale = Simd::broadcast_float(run_scales_[t * runs_]);
        const F product = Simd::multiply_floats(Simd::to_floats(total), scales_);
        Simd::store_floats(sums, Simd::fma(product, scale, Simd::load_floats(sums)));
      } else {
        // At most 256 integers of at most 127.
        total = Simd::subtract(total, Simd::multiply_words(zeros_, activations));
        if constexpr (kEnds == Ends::kRow) total = Simd::multiply(total, whole_scales_);
        std::int32_t* carried = totals_ + t * kCallRows;
        if (!opens_) total = Simd::add(total, Simd::load(carried));
        if (!closes_) return Simd::store(carried, total);
        Simd::store_floats(sums, Simd::fma(Simd::to_floats(total), scales_, Simd::load_floats(sums)));
      }
    }

   private:
    V zeros_;
    V whole_scales_;
    F scales_;
    std::int64_t runs_;
    const std::int32_t* run_sums_;  // [token][runs]
    const float* run_scales_;       // likewise
    float* sums_;                   // [token][kCallRows]
    std::int32_t* totals_;          // likewise
    bool opens_;
    bool closes_;
  };

 private:
  // A quad's codes. Where they are not shifted they stay where they lie in their bytes, which multiplies them by
  // 2^(kBits * (quad % (8 / kBits))).
  template <int kBits, bool kShifted = true>
  [[gnu::always_inline]] static V load_quad(const std::uint8_t* step, int quad) {
    if constexpr (kBits == 8) return Simd::load(step + 64 * quad);
    constexpr int kWidth = kBits == 3 ? 2 : kBits;  // of the lowest plane
    constexpr int kShares = 8 / kWidth;
    const V bytes = Simd::load(step + 64 * (quad / kShares));
    const int place = kWidth * (quad % kShares);
    if constexpr (!kShifted) return Simd::bits_of_bytes(bytes, ((1 << kWidth) - 1) << place);
    const V low = Simd::bits_of_bytes(Simd::shift_right(bytes, place), (1 << kWidth) - 1);
    if constexpr (kBits != 3) return low;
    const V plane = Simd::load(step + 128);
    const V moved = quad >= 2 ? Simd::shift_right(plane, quad - 2) : Simd::shift_left(plane, 2 - quad);
    return Simd::either(low, Simd::bits_of_bytes(moved, 4));
  }

  template <int kBits, typename Use>
  static void each_quad(const std::uint8_t* codes, std::int32_t steps, Use& use) {
    for (std::int32_t s = 0; s < steps; ++s) {
      const std::uint8_t* step = codes + s * (kBlockRows * kStepColumns * kBits / 8);
#pragma GCC unroll 8
      for (int quad = 0; quad < kStepQuads; ++quad) use(s * kStepQuads + quad, load_quad<kBits>(step, quad));
    }
  }

  template <int kBits, int kPlanes, Ends kEnds>
  static void direct_blocks(const Call& call) {
    alignas(64) std::int32_t totals[kDirectTokens * kCallRows];
    for (std::int64_t b = 0; b < call.block_count; ++b) {
      std::int32_t* carried = totals + b * kBlockRows;
      switch (call.tokens) {
        case 1: direct_block<kBits, kPlanes, kEnds, 1>(call, b, carried); break;
        case 2: direct_block<kBits, kPlanes, kEnds, 2>(call, b, carried); break;
        case 3: direct_block<kBits, kPlanes, kEnds, 3>(call, b, carried); break;
        default: direct_block<kBits, kPlanes, kEnds, 4>(call, b, carried); break;
      }
    }
  }

  template <int kBits, int kPlanes, Ends kEnds, int kTokens>
  static void direct_block(const Call& call, std::int64_t b, std::int32_t* totals) {
    constexpr int kSums = kPlanes * kTokens;
    // Quads that share a byte go in sums of their own, as multiples of 2^kBits, while there are registers for that.
    constexpr int kShares = kBits == 3 || kSums * (8 / kBits) > 16 ? 1 : 8 / kBits;
    constexpr int kLatency = kSums == 1 ? 4 : kSums == 2 ? 2 : 1;
    constexpr int kSplit = kShares > kLatency ? kShares : kLatency;  // of each sum
    const Blocks& blocks = *call.blocks;
    const std::uint8_t* step = block_data(blocks, call.first_block + b);
    for (std::int64_t i = 0; i < blocks.code_offset; i += 64) Simd::prefetch_far(step + kFarBytes + i);
    step += blocks.code_offset;
    const auto* words = static_cast<const std::int32_t*>(call.values);
    for (std::int64_t r = 0; r < blocks.run_count; ++r) {
      Registers<V, kSums * kSplit> sums;
      for_each<kSums * kSplit>([&](auto i) LOWBIT_INLINE { sums.template at<i>() = Simd::broadcast(0); });
      for (std::int32_t s = 0; s < blocks.runs[r].steps; ++s) {
        for_each<kBlockRows * kStepColumns * kBits / 512>([&](auto line) LOWBIT_INLINE {
          Simd::prefetch_far(step + kFarBytes + 64 * line);
          Simd::prefetch(step + kNearBytes + 64 * line);
        });
        for_each<kStepQuads>([&](auto quad) LOWBIT_INLINE {
          const V codes = load_quad<kBits, kShares == 1>(step, quad);
          for_each<kSums>([&](auto i) LOWBIT_INLINE {
            V& sum = sums.template at<i * kSplit + quad % kSplit>();
            sum = Simd::dot(sum, codes, Simd::broadcast(words[quad * kSums + i]));
          });
        });
        step += kBlockRows * kStepColumns * kBits / 8;
        words += kStepQuads * kSums;
      }
      alignas(64) std::int32_t kept[kTokens][kBlockRows];
      for_each<kTokens>([&](auto t) LOWBIT_INLINE {
        V planes[kPlanes];
        for_each<kPlanes>([&](auto p) LOWBIT_INLINE {
          constexpr int kFirst = (p * kTokens + t) * kSplit;
          for_each<kShares>([&](auto share) LOWBIT_INLINE {
            V sum = sums.template at<kFirst + share>();
            for_each<kSplit / kShares - 1>([&](auto i) LOWBIT_INLINE {
              sum = Simd::add(sum, sums.template at<kFirst + (i + 1) * kShares + share>());
            });
            planes[p] = share == 0 ? sum : Simd::add(planes[p], Simd::shift_right_wide(sum, share * kBits));
          });
        });
        Simd::store(kept[t], join<kPlanes>(planes));
      });
      const Place own{&call, r, 0, b, totals};
      const RunEnd<kEnds> end(own);
      for (int t = 0; t < kTokens; ++t) end.add(t, Simd::load(kept[t]));
    }
  }

  template <int kPlanes>
  static V join(const V* planes) {
    if constexpr (kPlanes == 1) return planes[0];
    return Simd::add(Simd::shift_left_wide(planes[0], 8), planes[1]);
  }

  // A tile of exactly kTokens tokens, or the one below it that fits, for kBlocks blocks side by side.
  template <int kPlanes, int kTokens, int kBlocks>
  static void multiply_codes(const Place& place, const std::uint8_t* codes, const std::int32_t* words, int tokens) {
    if constexpr (kTokens > 1) {
      if (tokens < kTokens) return multiply_codes<kPlanes, kTokens - 1, kBlocks>(place, codes, words, tokens);
    }
    constexpr int kSums = kTokens * kPlanes * kBlocks;
    Registers<V, kSums> sums;
    for_each<kSums>([&](auto i) LOWBIT_INLINE { sums.template at<i>() = Simd::broadcast(0); });
    const std::int32_t quads = place.call->blocks->runs[place.run].steps * kStepQuads;
    for (std::int32_t quad = 0; quad < quads; ++quad) {
      Registers<V, kBlocks> bytes;
      for_each<kBlocks>([&](auto b) LOWBIT_INLINE {
        bytes.template at<b>() = Simd::load(codes + b * (kRunColumns * kBlockRows) + 64 * quad);
      });
      for_each<kTokens * kPlanes>([&](auto i) LOWBIT_INLINE {
        const V factor = Simd::broadcast(words[quad * kTokens * kPlanes + i]);
        for_each<kBlocks>([&](auto b) LOWBIT_INLINE {
          V& sum = sums.template at<i * kBlocks + b>();
          sum = Simd::dot(sum, bytes.template at<b>(), factor);
        });
      });
    }
    // By way of memory: sums that anything else refers to would be stored in every turn of the loop.
    alignas(64) std::int32_t kept[kSums][kBlockRows];
    for_each<kSums>([&](auto i) LOWBIT_INLINE { Simd::store(kept[i], sums.template at<i>()); });
    for (int b = 0; b < kBlocks; ++b) {
      const Place own{place.call, place.run, place.token, place.block + b, place.totals + b * kBlockRows};
      const RunEnd<kPlanes == 2 ? Ends::kRun : Ends::kGroup> end(own);
      for (int t = 0; t < kTokens; ++t) {
        V planes[kPlanes];
        for (int p = 0; p < kPlanes; ++p) planes[p] = Simd::load(kept[(p * kTokens + t) * kBlocks + b]);
        end.add(t, join<kPlanes>(planes));
      }
    }
  }

  static void decode_weights(const Blocks& blocks, std::int64_t block, const Run& run, float* weights) {
    const F scales = load_scales(blocks, block, run.group);
    const bool table = blocks.zero_kind == ZeroKind::kTable;
    const std::uint8_t* zeros = block_data(blocks, block) + blocks.zero_offset + 4 * run.group * kBlockRows;
    F zero = Simd::broadcast_float(0.0F);
    if (blocks.zero_kind == ZeroKind::kFloat32) zero = Simd::load_floats(zeros);
    if (blocks.zero_kind < ZeroKind::kFloat32) zero = Simd::to_floats(load_zeros(blocks, block, run.group));
    with_quads(blocks, block, run, [&](std::int32_t quad, V bytes) {
      for (int i = 0; i < 4; ++i) {
        const V code = Simd::byte_of_words(bytes, i);
        const F number = table ? Simd::look_up(blocks.table, blocks.packed_bits, code)
                               : Simd::subtract_floats(Simd::to_floats(code), zero);
        Simd::store_floats(weights + (4 * quad + i) * kBlockRows, Simd::multiply_floats(number, scales));
      }
    });
    const std::int32_t begin = run.first_step * kStepColumns;
    for (std::int64_t i = blocks.outlier_begin[block]; i < blocks.outlier_begin[block + 1]; ++i) {
      const std::int32_t column = blocks.outlier_columns[i] - begin;
      if (column < 0 || column >= run.columns) continue;
      weights[column * kBlockRows + blocks.outlier_lanes[i]] = blocks.outlier_values[i];
    }
  }

  template <int kTokens, int kBlocks>
  static void multiply_weights(const Run& run, const float* weights, const float* values, int tokens, float* sums) {
    if constexpr (kTokens > 1) {
      if (tokens < kTokens) return multiply_weights<kTokens - 1, kBlocks>(run, weights, values, tokens, sums);
    }
    constexpr int kSums = kTokens * kBlocks;
    Registers<F, kSums> f;
    for_each<kSums>([&](auto i) LOWBIT_INLINE {
      f.template at<i>() = Simd::load_floats(sums + i / kBlocks * kCallRows + i % kBlocks * kBlockRows);
    });
    for (std::int32_t column = 0; column < run.columns; ++column) {
      Registers<F, kBlocks> weight;
      for_each<kBlocks>([&](auto b) LOWBIT_INLINE {
        weight.template at<b>() = Simd::load_floats(weights + b * (kRunColumns * kBlockRows) + column * kBlockRows);
      });
      for_each<kTokens>([&](auto t) LOWBIT_INLINE {
        const F value = Simd::broadcast_float(values[column * kTokens + t]);
        for_each<kBlocks>([&](auto b) LOWBIT_INLINE {
          f.template at<t * kBlocks + b>() =
              Simd::fma(value, weight.template at<b>(), f.template at<t * kBlocks + b>());
        });
      });
    }
    for_each<kSums>([&](auto i) LOWBIT_INLINE {
      Simd::store_floats(sums + i / kBlocks * kCallRows + i % kBlocks * kBlockRows, f.template at<i>());
    });
  }
};

}  // namespace lowbit::kernels
