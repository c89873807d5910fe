#pragma once

#include "kernels/cuda/attention_warp.h"

// Values of a tile of 32 tokens, added up with its weights.
namespace lowbit::kernels::cuda {

class AttentionValues {
 public:
  LOWBIT_HOST_DEVICE AttentionValues(const KvStore& store, std::int64_t row, const AttentionWarp& warp)
      : warp_(warp), tiles_(store, row, warp.lane), place_(store.bits, warp.own) {}

  LOWBIT_HOST_DEVICE const KvTiles& tiles() const { return tiles_; }

  /// sums = kept sums + weights values. Tokens before `first` and from `end` on have no weight.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void add(Thread& thread, int tile, int first, int end, int at, float kept,
                              const TileScores& weights) const {
    const TileForm form = tiles_.form(end);
    if (form == TileForm::kAny) return add_any(thread, tile, first, end, kept, weights);
    tiles_.convert(thread, at, warp_.affine);
    thread.sync_warp();
    if (form == TileForm::kOfTokens) {
      add_codes<TileForm::kOfTokens>(thread, at, kept, weights);
    } else {
      add_codes<TileForm::kOfChannels>(thread, at, kept, weights);
    }
  }

 private:
  static constexpr int kHeads = kAttentionHeads;

  // Of head t: what remains of sums, what makes sums of products true, and what minima give.
  struct Factors {
    float kept;
    float unit;
    float shift;
  };

  template <TileForm kForm, typename Thread>
  LOWBIT_HOST_DEVICE void add_codes(Thread& thread, int at, float kept, const TileScores& weights) const {
    const int of_scale = tiles_.steps_of_scale(kForm, warp_.steps);
    int codes = at + warp_.quarter * tiles_.stride() + place_.word;
    int channel = place_.channel;
    LOWBIT_NO_UNROLL
    for (int step = 0, group = 0; step < warp_.steps; ++group) {
      const Factors factors = split_weights<kForm>(thread, group, kept, weights);
      thread.sync_warp();
      // Column n is term n % 2 of head n / 2.
      const Word4 b = thread.template shared<std::uint32_t>().load16(warp_.tokens + warp_.own * 16 + 4 * warp_.quarter);
      thread.sync_warp();
      const int group_end = step + of_scale < warp_.steps ? step + of_scale : warp_.steps;
      add_steps<kForm>(thread, group_end - step, codes, channel, b, factors);
      step = group_end;
    }
  }

  // The weights of a group of channels, with their scales where they are of tokens, as operands: words of two tokens
  // for each head and term, in the order in which lanes take them.
  template <TileForm kForm, typename Thread>
  LOWBIT_HOST_DEVICE Factors split_weights(Thread& thread, int group, float kept, const TileScores& weights) const {
    TileScores x;
    float shift = 0.0F;
    float largest = 0.0F;
    Affine affine[4];
    tiles_.affine_of_tokens(thread, kForm, warp_.affine, warp_.own, group, affine);
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) {
      shift = fused(weights[i], affine[i].minimum, shift);
      x[i] = weights[i] * affine[i].scale;
      largest = larger(magnitude(x[i]), largest);
    }
    const Normal normal(largest_of_rows(thread, largest));
    auto shared = thread.template shared<std::uint32_t>();
    LOWBIT_UNROLL
    for (int pair = 0; pair < 2; ++pair) {
      const TwoTerms terms = TwoTerms::of(x[2 * pair] * normal.factor, x[2 * pair + 1] * normal.factor);
      const int at = warp_.tokens + 2 * warp_.quarter * 16 + warp_.own % 4 * 4 + warp_.own / 4 + 2 * pair;
      shared.store(at, terms.high);
      shared.store(at + 16, terms.low);
    }
    return {kept, place_.unit * normal.inverse, sum_of_rows(thread, shift)};
  }

  template <TileForm kForm, typename Thread>
  LOWBIT_HOST_DEVICE void add_steps(Thread& thread, int count, int& codes, int& channel, const Word4& b,
                                    const Factors& factors) const {
    LOWBIT_NO_UNROLL
    for (; count > 1; count -= 2) add_together<kForm, 2>(thread, codes, channel, b, factors);
    if (count > 0) add_together<kForm, 1>(thread, codes, channel, b, factors);
  }

  // Nothing is stored before the last load, so that steps do not wait for each other.
  template <TileForm kForm, int kSteps, typename Thread>
  LOWBIT_HOST_DEVICE void add_together(Thread& thread, int& codes, int& channel, const Word4& b,
                                       const Factors& factors) const {
    auto shared = thread.template shared<float>();
    float sums[kSteps][4] = {};
    float before[kSteps][2];
    LOWBIT_UNROLL
    for (int s = 0; s < kSteps; ++s) {
      multiply(thread, codes, b, sums[s]);
      codes += place_.step_words;
    }
    const int at = warp_.sums + channel * kHeads + warp_.quarter;
    const int half = place_.half * kHeads;
    LOWBIT_UNROLL
    for (int s = 0; s < kSteps; ++s) {
      LOWBIT_UNROLL
      for (int r = 0; r < 2; ++r) before[s][r] = shared.load(at + s * kStepChannels * kHeads + r * half);
    }
    LOWBIT_UNROLL
    for (int s = 0; s < kSteps; ++s) {
      LOWBIT_UNROLL
      for (int r = 0; r < 2; ++r) {
        const float sum = sums[s][2 * r] + sums[s][2 * r + 1];
        if constexpr (kForm == TileForm::kOfTokens) {
          const int own = channel + s * kStepChannels + r * place_.half;
          const Affine affine = tiles_.affine(thread, warp_.affine, own);
          const float rest = fused(factors.shift, affine.minimum, before[s][r] * factors.kept);
          before[s][r] = fused(sum * factors.unit, affine.scale, rest);
        } else {
          before[s][r] = fused(sum, factors.unit, fused(before[s][r], factors.kept, factors.shift));
        }
      }
    }
    LOWBIT_UNROLL
    for (int s = 0; s < kSteps; ++s) {
      LOWBIT_UNROLL
      for (int r = 0; r < 2; ++r) shared.store(at + s * kStepChannels * kHeads + r * half, before[s][r]);
    }
    channel += kSteps * kStepChannels;
  }

  // Lane 4 g + t takes tokens t, t + 8, t + 4, t + 12 of each half of the tile, as the weights' words follow.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void multiply(Thread& thread, int codes, const Word4& b, float (&sums)[4]) const {
    const auto shared = thread.template shared<std::uint32_t>();
    LOWBIT_UNROLL
    for (int half = 0; half < 2; ++half) {
      std::uint32_t a[4];
      LOWBIT_UNROLL
      for (int k = 0; k < 2; ++k) {
        const int token = 16 * half + 4 * k;
        const std::uint32_t first = shared.load(codes + token * tiles_.stride());
        const std::uint32_t second = shared.load(codes + (token + 8) * tiles_.stride());
        a[2 * k] = permute_bytes(first, second, place_.low) & place_.mask;
        a[2 * k + 1] = permute_bytes(first, second, place_.high) & place_.mask;
      }
      thread.multiply_add(Float16{}, sums, a, b.x[2 * half], b.x[2 * half + 1]);
    }
  }

  // Number by number; a lane takes channels.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void add_any(Thread& thread, int tile, int first, int end, float kept,
                                  const TileScores& weights) const {
    auto shared = thread.template shared<float>();
    const int remains = warp_.tokens + kCacheTileTokens * kHeads;
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) shared.store(warp_.tokens + (8 * i + warp_.own) * kHeads + warp_.quarter, weights[i]);
    if (warp_.own == 0) shared.store(remains + warp_.quarter, kept);
    thread.sync_warp();
    LOWBIT_NO_UNROLL
    for (int c = warp_.lane; c < tiles_.store().channels; c += kLanes) {
      float sums[kHeads];
      float of_heads[kHeads];
      load_heads(shared, warp_.sums + c * kHeads, sums);
      load_heads(shared, remains, of_heads);
      LOWBIT_UNROLL
      for (int h = 0; h < kHeads; ++h) sums[h] *= of_heads[h];
      LOWBIT_NO_UNROLL
      for (int token = first > tile ? first : tile; token < end; ++token) {
        const float value = tiles_.store().value(tiles_.row(), token, c);
        load_heads(shared, warp_.tokens + (token - tile) * kHeads, of_heads);
        LOWBIT_UNROLL
        for (int h = 0; h < kHeads; ++h) sums[h] = fused(of_heads[h], value, sums[h]);
      }
      store_heads(shared, warp_.sums + c * kHeads, sums);
    }
    thread.sync_warp();
  }

  AttentionWarp warp_;
  KvTiles tiles_;
  ValuePlace place_;
};

}  // namespace lowbit::kernels::cuda
