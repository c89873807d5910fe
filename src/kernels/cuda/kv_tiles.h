#pragma once

#include "kernels/cuda/kv_store.h"
#include "kernels/cuda/layout.h"

// How a warp reads a cache: tiles of 32 tokens of one head, which it copies into shared memory ahead of their use.
namespace lowbit::kernels::cuda {

inline constexpr int kCacheTileTokens = kLanes;
/// Channels that one instruction multiplies; heads are padded to them.
inline constexpr int kStepChannels = 16;

LOWBIT_HOST_DEVICE constexpr int steps_of_head(int channels) { return (channels + kStepChannels - 1) / kStepChannels; }

/// What codes stand for: code scale + minimum.
struct Affine {
  float scale;
  float minimum;
};

/// Where a tile's numbers come from.
enum class TileForm {
  kOfTokens,    ///< codes, whose scales are those of the channels in all of these tokens
  kOfChannels,  ///< codes, whose scales are one for each token and some steps of channels
  kAny,         ///< numbers that are kept as they came, or codes of other groups: one by one
};

/// A warp's tiles of one head. A copied tile is its codes, token by token with a distance that spreads both eight and
/// four tokens over all banks, and the scales and minima that belong to it.
class KvTiles {
 public:
  LOWBIT_HOST_DEVICE KvTiles(const KvStore& store, std::int64_t row, int lane)
      : store_(store),
        row_(row),
        lane_(lane),
        stride_(stride_of(store)),
        row_words_(store.row_words()),
        codes_(store.words + row * store.capacity * store.row_words()) {
    while (group_shift_ < 30 && 1 << (group_shift_ + 1) <= store.group) ++group_shift_;
    if (1 << group_shift_ != store.group) group_shift_ = -1;
    whole_ = store.row_words() % 4 == 0 && reinterpret_cast<std::uintptr_t>(codes_) % 16 == 0;
    parts_ = whole_ ? store.row_words() / 4 : store.row_words();
    first_token_ = lane / parts_;
    first_part_ = lane % parts_;
    tokens_each_ = kLanes / parts_;
    parts_each_ = kLanes % parts_;
    numbers_ = store.of_tokens != 0 ? store.channels : store.channel_groups();
    const std::int64_t first = row * (store.of_tokens != 0 ? store.capacity / store.group : store.capacity) * numbers_;
    const bool wide = store.scale_kind == ScaleKind::kFloat32;
    odd_ = wide ? 0 : static_cast<int>(first % 2);
    from_ = (first - odd_) * (wide ? 4 : 2);
    scale_words_ = scale_words(store);
    const bool words =
        (reinterpret_cast<std::uintptr_t>(store.scales) | reinterpret_cast<std::uintptr_t>(store.minima)) % 4 == 0;
    form_ = !words || !fits(store) ? TileForm::kAny
            : store.of_tokens != 0 ? TileForm::kOfTokens
                                   : TileForm::kOfChannels;
  }

  /// Words of shared memory that a tile takes: a multiple of 4.
  LOWBIT_HOST_DEVICE static int words(const KvStore& store) {
    return kCacheTileTokens * stride_of(store) + 2 * scale_words(store);
  }

  /// Of a tile whose tokens end before `end`.
  LOWBIT_HOST_DEVICE TileForm form(int end) const { return end > store_.rounded ? TileForm::kAny : form_; }
  LOWBIT_HOST_DEVICE const KvStore& store() const { return store_; }
  LOWBIT_HOST_DEVICE std::int64_t row() const { return row_; }

  /// Copies the tokens from `tile` to before `end` to word `at`. All lanes have read what was there.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void start(Thread& thread, int tile, int end, int at) const {
    if (tile >= end || form(end) == TileForm::kAny) return;
    copy_codes(thread, tile, end - tile, at);
    const bool wide = store_.scale_kind == ScaleKind::kFloat32;
    const int tokens = store_.of_tokens != 0 ? 1 : end - tile;
    const auto number = static_cast<std::uint32_t>((store_.of_tokens != 0 ? group_of(tile) : tile) * numbers_);
    const std::int64_t from = from_ + number * (wide ? 4U : 2U);
    const int count = wide ? tokens * numbers_ : (tokens * numbers_ + odd_ + 1) / 2;
    copy_words(thread, static_cast<const std::uint8_t*>(store_.scales) + from, count, scales_at(at));
    if (store_.minima == nullptr) return;
    copy_words(thread, static_cast<const std::uint8_t*>(store_.minima) + from, count, minima_at(at));
  }

  /// Words of the float32 scales and minima of a tile.
  LOWBIT_HOST_DEVICE static int affine_words(const KvStore& store) { return 4 * scale_words(store); }
  /// Makes float32 scales and minima at word `to` of what was copied to `at`.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void convert(Thread& thread, int at, int to) const {
    switch (store_.scale_kind) {
      case ScaleKind::kFloat16: return convert_kind<ScaleKind::kFloat16>(thread, at, to);
      case ScaleKind::kBFloat16: return convert_kind<ScaleKind::kBFloat16>(thread, at, to);
      case ScaleKind::kFloat32: return convert_kind<ScaleKind::kFloat32>(thread, at, to);
    }
  }

  /// Of number `index` of the tile whose scales are at `converted`: a channel, or token * `numbers()` + the group of
  /// channels.
  template <typename Thread>
  LOWBIT_HOST_DEVICE Affine affine(Thread& thread, int converted, int index) const {
    const Word2 words = thread.template shared<std::uint32_t>().load8(converted + 2 * (index + odd_));
    return {float_from_bits(words.x[0]), float_from_bits(words.x[1])};
  }
  /// Of a group of channels of tokens own + 8 i; one where scales are not of tokens.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void affine_of_tokens(Thread& thread, TileForm form, int converted, int own, int group,
                                           Affine (&affine_of)[4]) const {
    if (form == TileForm::kOfTokens) {
      LOWBIT_UNROLL
      for (int i = 0; i < 4; ++i) affine_of[i] = {1.0F, 1.0F};
      return;
    }
    LOWBIT_UNROLL
    for (int i = 0; i < 4; ++i) affine_of[i] = affine(thread, converted, (8 * i + own) * numbers_ + group);
  }
  LOWBIT_HOST_DEVICE int stride() const { return stride_; }
  /// Steps of channels that share a token's scale.
  LOWBIT_HOST_DEVICE int steps_of_scale(TileForm form, int steps) const {
    return form == TileForm::kOfTokens || numbers_ == 1 ? steps : store_.group / kStepChannels;
  }

 private:
  template <ScaleKind kKind, typename Thread>
  LOWBIT_HOST_DEVICE void convert_kind(Thread& thread, int at, int to) const {
    auto shared = thread.template shared<std::uint32_t>();
    const int numbers = (store_.of_tokens != 0 ? 1 : kCacheTileTokens) * numbers_ + odd_;
    LOWBIT_NO_UNROLL
    for (int e = lane_; 2 * e < numbers; e += kLanes) {
      float x[4];
      LOWBIT_UNROLL
      for (int k = 0; k < 2; ++k) {
        const int from = k == 0 ? scales_at(at) : minima_at(at);
        if constexpr (kKind == ScaleKind::kFloat32) {
          x[k] = float_from_bits(shared.load(from + 2 * e));
          x[2 + k] = float_from_bits(shared.load(from + 2 * e + 1));
        } else {
          const std::uint32_t word = shared.load(from + e);
          constexpr bool kHalf = kKind == ScaleKind::kFloat16;
          x[k] = kHalf ? half_as_float(word & 0xFFFFU) : bfloat16_as_float(word);
          x[2 + k] = kHalf ? half_as_float(word >> 16) : float_from_bits(word & 0xFFFF0000U);
        }
      }
      if (store_.minima == nullptr) {
        x[1] = x[0] * lowest_code();
        x[3] = x[2] * lowest_code();
      }
      shared.store16(to + 4 * e,
                     {{bits_of_float(x[0]), bits_of_float(x[1]), bits_of_float(x[2]), bits_of_float(x[3])}});
    }
  }

  LOWBIT_HOST_DEVICE static int stride_of(const KvStore& store) { return ((store.row_words() + 3) / 4 | 1) * 4; }
  // Whether scales are shared as tiles and steps want it, and leave room for codes.
  LOWBIT_HOST_DEVICE static bool fits(const KvStore& store) {
    if (store.of_tokens != 0) return store.group % kCacheTileTokens == 0;
    const int wide = store.scale_kind == ScaleKind::kFloat32 ? 2 : 1;
    return store.group >= store.channels ||
           (store.group % kStepChannels == 0 && store.channel_groups() * wide <= store.channels / kStepChannels + 1);
  }
  LOWBIT_HOST_DEVICE static int scale_words(const KvStore& store) {
    if (!fits(store)) return 0;
    const int of_channels = steps_of_head(store.channels) * kStepChannels;
    if (store.of_tokens != 0) return store.scale_kind == ScaleKind::kFloat32 ? of_channels : of_channels / 2 + 4;
    return kCacheTileTokens / 2 * store.channel_groups() * (store.scale_kind == ScaleKind::kFloat32 ? 2 : 1) + 4;
  }
  LOWBIT_HOST_DEVICE int scales_at(int at) const { return at + kCacheTileTokens * stride_; }
  LOWBIT_HOST_DEVICE int minima_at(int at) const { return scales_at(at) + scale_words_; }
  // Without minima: what the lowest code stands for, in steps.
  LOWBIT_HOST_DEVICE float lowest_code() const { return -static_cast<float>(1 << (store_.bits - 1)); }

  // Divided by nothing where groups are a power of two.
  LOWBIT_HOST_DEVICE int group_of(int token) const {
    return group_shift_ >= 0 ? token >> group_shift_ : token / store_.group;
  }

  // The words of a tile follow each other in the cache; those of a head are less than 2^32.
  template <typename Thread>
  LOWBIT_HOST_DEVICE void copy_codes(Thread& thread, int tile, int tokens, int at) const {
    auto shared = thread.template shared<std::uint32_t>();
    const int unit = whole_ ? 4 : 1;
    const std::uint32_t* from = codes_ + static_cast<std::uint32_t>(tile * row_words_ + lane_ * unit);
    int part = first_part_;
    const int to_next = tokens_each_ * stride_ + parts_each_ * unit;
    const auto copy_all = [&](const auto& copy) {
      int to = at + first_token_ * stride_ + part * unit;
      if (parts_each_ == 0) {  // a lane's parts stand below each other
        LOWBIT_NO_UNROLL
        for (int token = first_token_; token < tokens; token += tokens_each_) {
          copy(to, from);
          from += kLanes * unit;
          to += to_next;
        }
        return;
      }
      LOWBIT_NO_UNROLL
      for (int token = first_token_; token < tokens; token += tokens_each_) {
        copy(to, from);
        from += kLanes * unit;
        part += parts_each_;
        to += to_next;
        if (part < parts_) continue;
        part -= parts_;
        to += stride_ - parts_ * unit;
        ++token;
      }
    };
    if (whole_) {
      copy_all([&](int to, const std::uint32_t* words) { shared.copy_async16(to, words, true); });
    } else {
      copy_all([&](int to, const std::uint32_t* words) { shared.template copy_async<4>(to, words, true); });
    }
  }

  template <typename Thread>
  LOWBIT_HOST_DEVICE void copy_words(Thread& thread, const std::uint8_t* from, int count, int to) const {
    auto shared = thread.template shared<std::uint32_t>();
    const int unit = reinterpret_cast<std::uintptr_t>(from) % 16 == 0 && count % 4 == 0 ? 4 : 1;
    LOWBIT_NO_UNROLL
    for (int e = lane_ * unit; e < count; e += kLanes * unit) {
      if (unit == 4) {
        shared.copy_async16(to + e, from + e * 4, true);
      } else {
        shared.template copy_async<4>(to + e, from + e * 4, true);
      }
    }
  }

  const KvStore& store_;
  std::int64_t row_;
  int lane_;
  int stride_;  // words from token to token in shared memory
  int row_words_;
  int group_shift_ = 0;         // the group's logarithm, or negative
  const std::uint32_t* codes_;  // of the head
  bool whole_;                  // codes are copied by 16 bytes
  int parts_;                   // of a token, that are copied one by one
  int first_token_, first_part_;
  int tokens_each_, parts_each_;  // from a lane's part to its next
  int numbers_;                   // scales of a tile's channels, or of a token
  int scale_words_;               // that a tile's scales take
  int odd_;                       // whether the head's scales begin in the middle of a word
  std::int64_t from_;             // bytes to that word
  TileForm form_;
};

}  // namespace lowbit::kernels::cuda
