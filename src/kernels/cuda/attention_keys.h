#pragma once

#include "kernels/cuda/attention_warp.h"

// Scores of a tile of 32 tokens, not yet multiplied with the attention's scale.
namespace lowbit::kernels::cuda {

template <int kBits>
class AttentionKeys {
 public:
  LOWBIT_HOST_DEVICE AttentionKeys(const KvStore& store, std::int64_t row, const AttentionWarp& warp)
      : warp_(warp), tiles_(store, row, warp.lane) {}

  LOWBIT_HOST_DEVICE const KvTiles& tiles() const { return tiles_; }

  /// Tokens before `first` and from `end` on may be left out.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void score(Thread& thread, int tile, int first, int end, int at, TileScores& scores) {
    const TileForm form = tiles_.form(end);
    if (form == TileForm::kAny) return score_any(thread, tile, first, end, scores);
    tiles_.convert(thread, at, warp_.affine);
    thread.sync_warp();
    // Without scales of their own in each tile, queries are split once.
    if (form == TileForm::kOfTokens || !split_) {
      split_queries(thread, form);
      split_ = true;
      thread.sync_warp();
    }
    multiply(thread, form, at, scores);
    thread.sync_warp();
  }

 private:
  static constexpr int kRoundSteps = 8;  // of queries that are split together
  static constexpr int kHeads = kAttentionHeads;
  using Place = KeyPlace<kBits>;

  // Of q (code scale + minimum): the queries that codes are multiplied with, as operands, and for each step and head
  // what a token's minimum is multiplied with and what makes sums of the operands' products true. For scales of
  // channels, the former is all that minima give. Lane 4 g + t takes step g of head t.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void split_queries(Thread& thread, TileForm form) const {
    auto shared = thread.template shared<float>();
    LOWBIT_NO_UNROLL
    for (int base = 0; base < warp_.steps; base += kRoundSteps) {
      const int step = base + warp_.own;
      float x[kStepChannels] = {};
      float offset = 0.0F;
      float largest = 0.0F;
      if (step < warp_.steps) {
        const int queries = warp_.query(warp_.quarter, step * kStepChannels);
        LOWBIT_UNROLL
        for (int i = 0; i < kStepChannels; i += 4) load_four(shared, queries + i, x + i);
        fold(thread, form, step, x, offset);
        LOWBIT_UNROLL
        for (const float number : x) largest = larger(magnitude(number), largest);
      }
      const Normal normal(largest_of_rows(thread, largest));
      if (step >= warp_.steps) continue;
      store_operands(shared, step, x, normal.factor);
      shared.store(warp_.offsets + (2 * step) * kHeads + warp_.quarter, offset);
      shared.store(warp_.offsets + (2 * step + 1) * kHeads + warp_.quarter, normal.inverse);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void fold(Thread& thread, TileForm form, int step, float (&x)[kStepChannels],
                               float& offset) const {
    if (form != TileForm::kOfTokens) {
      LOWBIT_UNROLL
      for (const float number : x) offset += number;
      return;
    }
    const auto shared = thread.template shared<float>();
    LOWBIT_UNROLL
    for (int i = 0; i < kStepChannels; i += 2) {
      float of_two[4];
      load_four(shared, warp_.affine + 2 * (step * kStepChannels + i), of_two);
      offset = fused(x[i], of_two[1], offset);
      offset = fused(x[i + 1], of_two[3], offset);
      x[i] *= of_two[0];
      x[i + 1] *= of_two[2];
    }
  }

  // Of one head: [term][pair of quarters][head][quarter of the pair][register].
  template <typename Shared>
  LOWBIT_HOST_DEVICE void store_operands(Shared& shared, int step, const float (&x)[kStepChannels],
                                         float factor) const {
    LOWBIT_UNROLL
    for (int pair = 0; pair < 2; ++pair) {
      Word4 high;
      Word4 low;
      LOWBIT_UNROLL
      for (int k = 0; k < 4; ++k) {
        const int t = 2 * pair + k / 2;
        const float by = k % 2 == 0 ? factor : factor * Place::kSecond;
        const TwoTerms terms =
            TwoTerms::of(x[Place::channel(t, k % 2 * 2)] * by, x[Place::channel(t, k % 2 * 2 + 1)] * by);
        high.x[k] = terms.high;
        low.x[k] = terms.low;
      }
      const int at = warp_.operand(step, pair) + 4 * warp_.quarter;
      shared.store16(at, high);
      shared.store16(at + 32, low);
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void multiply(Thread& thread, TileForm form, int at, TileScores& scores) const {
    const auto floats = thread.template shared<float>();
    const int of_scale = tiles_.steps_of_scale(form, warp_.steps);
    LOWBIT_NO_UNROLL
    for (int step = 0, group = 0, left = of_scale; step < warp_.steps;) {
      int end = step + left < warp_.steps ? step + left : warp_.steps;
      const int round_end = step / kRoundSteps * kRoundSteps + kRoundSteps;
      end = round_end < end ? round_end : end;
      left -= end - step;
      float sums[2][4] = {};
      const float offset = multiply_steps(thread, at, step, end, sums);
      step = end;
      const float unit = kCodeUnits * floats.load(warp_.offsets + (2 * end - 1) * kHeads + warp_.quarter);
      Affine affine[4];
      tiles_.affine_of_tokens(thread, form, warp_.affine, warp_.own, group, affine);
      LOWBIT_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float sum = (sums[i / 2][i % 2 * 2] + sums[i / 2][i % 2 * 2 + 1]) * unit;
        scores[i] = fused(sum, affine[i].scale, fused(offset, affine[i].minimum, scores[i]));
      }
      if (left > 0) continue;
      left = of_scale;
      ++group;
    }
  }

  // Returns the offsets' sum. Lane 4 n + t: column n is term n % 2 of head n / 2.
  template <typename Thread>
  LOWBIT_HOST_DEVICE float multiply_steps(Thread& thread, int at, int step, int end, float (&sums)[2][4]) const {
    const auto shared = thread.template shared<std::uint32_t>();
    const auto floats = thread.template shared<float>();
    const int n = warp_.own;
    const int t = warp_.quarter;
    int operand = warp_.operand(step, t / 2) + n % 2 * 32 + n / 2 * 4 + t % 2 * 2;
    int to_next = AttentionWarp::kOperandWords + ((t / 2 ^ step) % 2 == 0 ? 16 : -16);
    int codes = at + warp_.own * tiles_.stride() + step * Place::kStepWords + Place::word(t);
    float offset = 0.0F;
    for (; step < end; ++step) {
      const Word2 b = shared.load8(operand);
      LOWBIT_UNROLL
      for (int m = 0; m < 2; ++m) {
        std::uint32_t a[4];
        LOWBIT_UNROLL
        for (int r = 0; r < 2; ++r) {
          const std::uint32_t word = shared.load(codes + (2 * m + r) * 8 * tiles_.stride()) >> Place::shift(t);
          a[r] = Place::first(word);
          a[2 + r] = Place::second(word);
        }
        thread.multiply_add(Float16{}, sums[m], a, b.x[0], b.x[1]);
      }
      offset += floats.load(warp_.offsets + 2 * step * kHeads + t);
      operand += to_next;
      to_next = 2 * AttentionWarp::kOperandWords - to_next;
      codes += Place::kStepWords;
    }
    return offset;
  }

  // Number by number; a lane takes a token.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void score_any(Thread& thread, int tile, int first, int end, TileScores& scores) const {
    auto shared = thread.template shared<float>();
    const int token = tile + warp_.lane;
    float parts[kHeads] = {};
    if (token >= first && token < end) {
      LOWBIT_NO_UNROLL
      for (int c = 0; c < tiles_.store().channels; ++c) {
        const float key = tiles_.store().value(tiles_.row(), token, c);
        LOWBIT_UNROLL
        for (int h = 0; h < kHeads; ++h) parts[h] = fused(shared.load(warp_.query(h, c)), key, parts[h]);
      }
    }
    store_heads(shared, warp_.tokens + warp_.lane * kHeads, parts);
    thread.sync_warp();
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) scores[i] = shared.load(warp_.tokens + (8 * i + warp_.own) * kHeads + warp_.quarter);
    thread.sync_warp();
  }

  AttentionWarp warp_;
  KvTiles tiles_;
  bool split_ = false;
};

}  // namespace lowbit::kernels::cuda
