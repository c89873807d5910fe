#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/tensor/dtype.h"

// What stands between the products when each sequence reads one token, on plain float32 memory. The same bits as
// `rms_norm`, `silu`, `rotate_pairs` and, where products are chains of fused multiply-adds, `causal_attention` on the
// keys and values as they are kept.
namespace lowbit LOWBIT_EXPORT {

/// Whether the functions below can be called: a processor with AVX2 and FMA.
[[nodiscard]] bool decode_operations_available();

/// out[row] = x[row] / rms(x[row]) * weight, rows of `width`.
void rms_norm_rows(const float* x, std::int64_t rows, std::int64_t width, const float* weight, double eps, float* out);
/// gate = silu(gate) * up, `count` numbers.
void silu_product(float* gate, const float* up, std::int64_t count);
/// x [heads * dim], each head turned as `rotate_pairs` does; dim at most kMostRotated.
inline constexpr std::int64_t kMostRotated = 512;
void rotate_heads(float* x, std::int64_t heads, std::int64_t dim, const float* cos, const float* sin);

/// Keys or values of one layer in another form, with the numbers that they stand for.
class RoundedRows {
 public:
  virtual ~RoundedRows() = default;
  /// Positions begin .. begin + count - 1 of one sequence and KV head, [count, dim]. Called by many threads at once.
  virtual void read(std::int64_t sequence, std::int64_t head, std::int64_t begin, std::int64_t count,
                    float* rows) const = 0;
};

/// Keys and values of one layer as one token at a time is read: `sequences` of equal length, heads of a multiple of 8
/// numbers. Keys stand eight side by side, values one behind the other; what was handed over is read from its other
/// form, and takes no room here.
class DecodeCache {
 public:
  static constexpr std::int64_t kLanes = 8;  ///< keys that stand side by side
  /// So many positions, filled up to whole vectors of keys.
  [[nodiscard]] static constexpr std::int64_t padded(std::int64_t count) {
    return (count + kLanes - 1) / kLanes * kLanes;
  }
  enum class Room {
    kWhole,    ///< for all positions from the beginning
    kGrowing,  ///< for as many as there are, for caches most of whose positions are handed over
  };
  /// `numbers` bfloat16: keys and values are rounded to it (half to even) as they come. With `Room::kWhole` they lie
  /// so, in half the memory; with `kGrowing`, where few of them stay, as float32.
  DecodeCache(std::int64_t sequences, std::int64_t kv_heads, std::int64_t dim, std::int64_t capacity,
              Room room = Room::kWhole, DType numbers = DType::kFloat32);
  [[nodiscard]] std::int64_t length() const { return length_; }
  /// Of what is kept here of the tokens.
  [[nodiscard]] std::int64_t bytes() const;
  /// Of a token's keys, or its values, as they lie here.
  [[nodiscard]] std::int64_t token_bytes() const;
  /// Makes room for `tokens` more; keys and values that were handed over are forgotten when there is none.
  void reserve(std::int64_t tokens);
  /// Takes `tokens` keys and values of one sequence and head, rows `stride` numbers apart, for the positions from
  /// `length` on; `advance` counts them when all heads of all sequences have theirs.
  void put(std::int64_t sequence, std::int64_t head, std::int64_t tokens, const float* k, const float* v,
           std::int64_t k_stride, std::int64_t v_stride);
  void advance(std::int64_t tokens);
  [[nodiscard]] std::int64_t capacity() const { return capacity_; }

  enum class Side { kKeys, kValues };
  /// Positions begin .. begin + count - 1 of all sequences and heads, none of them handed over, to rows [sequences,
  /// kv_heads, count, dim].
  void read(Side side, std::int64_t begin, std::int64_t count, float* rows) const;
  /// The first `count` positions are those of `rows` from now on, which outlives this or the next call. Not where
  /// numbers lie as bfloat16.
  void hand_over(Side side, const RoundedRows& rows, std::int64_t count);
  /// Gives back what `Room::kGrowing` took beyond the floats that are left, but for a little.
  void fit();
  [[nodiscard]] std::int64_t sequences() const { return sequences_; }
  [[nodiscard]] std::int64_t kv_heads() const { return kv_heads_; }
  [[nodiscard]] std::int64_t dim() const { return dim_; }

 private:
  friend struct DecodeAttention;
  struct Free {
    void operator()(std::byte* data) const;
  };
  // What lies here of one side: positions begin .. begin + room - 1 of each sequence and head.
  struct Kept {
    std::unique_ptr<std::byte, Free> data;
    std::int64_t begin = 0;
    std::int64_t room = 0;
    std::int64_t rounded = 0;  // so many positions are those of `rows`
    const RoundedRows* rows = nullptr;
    // Positions before this are read from `rows`; the rounded ones behind it share a vector with keys that are not.
    [[nodiscard]] std::int64_t handed() const { return rounded / kLanes * kLanes; }
  };
  [[nodiscard]] const Kept& kept(Side side) const { return side == Side::kKeys ? keys_ : values_; }
  [[nodiscard]] Kept& kept(Side side) { return side == Side::kKeys ? keys_ : values_; }
  [[nodiscard]] std::int64_t number_bytes() const { return narrow_ ? 2 : 4; }
  // Of the position `kept.begin`.
  [[nodiscard]] std::byte* first(const Kept& kept, std::int64_t sequence, std::int64_t head) const;
  // The first number of a position, and how many numbers further the next is.
  [[nodiscard]] std::byte* number(Side side, std::int64_t sequence, std::int64_t head, std::int64_t position) const;
  [[nodiscard]] static std::int64_t step(Side side);
  // A position's numbers as they come.
  void store(Side side, std::int64_t sequence, std::int64_t head, std::int64_t position, const float* row);
  // With room for so many positions behind those that were handed over.
  void move(Kept& kept, std::int64_t room) const;
  std::int64_t kv_heads_, dim_, capacity_, sequences_;
  Room room_;
  bool rounds_;  // to bfloat16
  bool narrow_;  // and they lie so
  std::int64_t length_ = 0;
  Kept keys_, values_;
};

/// Rotates the queries and keys of one token a sequence, appends keys and values, and attends. Rows hold all heads of a
/// sequence, side by side.
struct DecodeAttention {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t dim = 0;
  double scale = 1;
  std::int64_t window = 0;  ///< 0: all positions are seen
  /// One position's part of the rotary table, [dim].
  const float* cos = nullptr;
  const float* sin = nullptr;
  float* q = nullptr;  ///< [sequences, heads * dim], rotated in place
  float* k = nullptr;  ///< [sequences, kv_heads * dim], rotated in place
  const float* v = nullptr;
  float* out = nullptr;      ///< [sequences, heads * dim]
  float* scratch = nullptr;  ///< [sequences * heads][capacity of the cache]
  /// Some heads at a time, on the pool.
  void run(DecodeCache& cache) const;
};

}  // namespace lowbit
