#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lowbit/base/export.h"

// What stands between the products when each sequence reads one token, on plain float32 memory. The same bits as
// `rms_norm`, `silu`, `rotate_pairs` and, where products are chains of fused multiply-adds, `causal_attention`.
namespace lowbit LOWBIT_EXPORT {

/// Whether the functions below can be called: a processor with AVX2 and FMA.
[[nodiscard]] bool decode_operations_available();

/// out[row] = x[row] / rms(x[row]) * weight, rows of `width`.
void rms_norm_rows(const float* x, std::int64_t rows, std::int64_t width, const float* weight, double eps, float* out);
/// gate = silu(gate) * up, rows of `width`.
void silu_product(float* gate, const float* up, std::int64_t rows, std::int64_t width);
/// x [heads * dim], each head turned as `rotate_pairs` does; dim at most kMostRotated.
inline constexpr std::int64_t kMostRotated = 512;
void rotate_heads(float* x, std::int64_t heads, std::int64_t dim, const float* cos, const float* sin);

/// Keys and values of one layer as one token at a time is read: `sequences` of equal length, heads of a multiple of 8
/// numbers. Keys stand eight side by side, values one behind the other.
class DecodeCache {
 public:
  DecodeCache(std::int64_t sequences, std::int64_t kv_heads, std::int64_t dim, std::int64_t capacity);
  [[nodiscard]] std::int64_t length() const { return length_; }
  /// Of what is kept of the tokens.
  [[nodiscard]] std::int64_t bytes() const;
  /// Takes `tokens` keys and values of one sequence and head, rows `stride` numbers apart, for the positions from
  /// `length` on; `advance` counts them when all heads of all sequences have theirs.
  void put(std::int64_t sequence, std::int64_t head, std::int64_t tokens, const float* k, const float* v,
           std::int64_t k_stride, std::int64_t v_stride);
  void advance(std::int64_t tokens);
  [[nodiscard]] std::int64_t capacity() const { return capacity_; }

  enum class Side { kKeys, kValues };
  /// Positions begin .. begin + count - 1 of all sequences and heads, to or from rows [sequences, kv_heads, count,
  /// dim].
  void read(Side side, std::int64_t begin, std::int64_t count, float* rows) const;
  void replace(Side side, std::int64_t begin, std::int64_t count, const float* rows);
  [[nodiscard]] std::int64_t sequences() const { return sequences_; }
  [[nodiscard]] std::int64_t kv_heads() const { return kv_heads_; }
  [[nodiscard]] std::int64_t dim() const { return dim_; }

 private:
  friend struct DecodeAttention;
  // visit(a number of the cache, its place in the rows of `read`)
  template <typename Visit>
  void each_number(Side side, std::int64_t begin, std::int64_t count, Visit visit) const;
  [[nodiscard]] float* keys(std::int64_t sequence, std::int64_t head) const;
  [[nodiscard]] float* values(std::int64_t sequence, std::int64_t head) const;
  std::int64_t kv_heads_, dim_, capacity_, sequences_;
  std::int64_t length_ = 0;
  struct Free {
    void operator()(float* data) const;
  };
  std::unique_ptr<float, Free> keys_, values_;
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
  float* scratch = nullptr;  ///< [sequences * kv_heads][scratch_numbers]
  [[nodiscard]] std::int64_t scratch_numbers(const DecodeCache& cache) const;
  /// A sequence and KV head at a time, on the pool.
  void run(DecodeCache& cache) const;
};

}  // namespace lowbit
