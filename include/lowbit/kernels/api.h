#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"

// Products of activations [tokens, columns] with a quantized matrix [rows, columns] that stays packed:
// y[t, r] = sum over c of x[t, c] w[r, c]. Free of LibTorch: pointers, shapes, strides and a callback for threads.
//
//   const PackedWeight weight = PackedWeight::pack(canonical);
//   std::vector<std::byte> space(workspace_bytes(weight, Arithmetic::kInt16, tokens, {}));
//   multiply({weight, Arithmetic::kInt16, input, output, {}, space, {}, {}});
namespace lowbit {
namespace kernels LOWBIT_EXPORT {

/// What is computed, bit for bit, whatever the number of tokens, the threads and the instruction set. Sums of integers
/// are exact. Groups are taken in order; f starts at 0 and fma rounds once.
enum class Arithmetic {
  /// Activations as they are, weights decoded to float32 (outliers put in): one chain of fused multiply-adds over the
  /// columns, which starts at the bias. Takes every decoding.
  kFloat32,
  /// A token is rounded to integers q = round_half_even(x / s) with s = max(max|x| / 127, 2^-126). Each group g adds
  /// f = fma(float(sum of q (code - zero)), scale[r, g], f); y = f s. Whole zero points only.
  kInt8,
  /// As kInt8 with 32639 in place of 127, and s of runs of at most 256 columns of a group. Each run adds
  /// f = fma(float(sum) scale[r, g], s, f); y = f. An activation is off by at most 2^-16 of its run's largest.
  kInt16,
  /// A token is rounded as for kInt8, and y = float(sum of q n[r, g] (code - zero)) m[r] s with a whole n for each
  /// group and one float m a row (QServe's two levels): nothing is rounded between groups. `ScaleStorage::kUint8` only.
  kInt8TwoLevel,
  /// Activations are rounded to bfloat16 (half to even; what then is below 2^-100 is 0), weights are code - zero. Of
  /// each
  /// step of 32 columns of a group the even and the odd ones are two chains of fused multiply-adds from 0; their sum is
  /// added to the group's, and each group adds f = fma(sum, scale[r, g], f); y = f. Whole zero points only.
  kBFloat16,
};
[[nodiscard]] std::string_view arithmetic_name(Arithmetic arithmetic);

/// What a code stands for.
enum class Decoding {
  kWholeZero,  ///< scale (code - zero), zero one of the codes
  kRealZero,   ///< scale (code - zero), any float32 zero
  kTable,      ///< scale table[code]
};
/// In which type packed scales lie; each must be representable in it.
enum class ScaleStorage {
  kFloat32,
  kFloat16,
  kBFloat16,
  /// n m: n a whole number of the group, m one float32 number of the row, which follows from them (two_level.h). For
  /// whole zeros and codes of 2 to 4 bits; n (code - zero) lies in -128..127 for every code.
  kUint8,
};

/// Entries that replace decoded codes, each place once, ordered by row and then by column.
struct Outliers {
  std::span<const std::int32_t> rows;
  std::span<const std::int32_t> columns;
  std::span<const float> values;
};

/// A quantized matrix with true zero points and one byte a code: what every layout is packed from.
struct CanonicalWeight {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t groups = 0;
  int bits = 4;  ///< 2..8; 5, 6 and 7 are packed as 8
  Decoding decoding = Decoding::kWholeZero;
  ScaleStorage scale_storage = ScaleStorage::kFloat32;
  std::int64_t group = 0;                     ///< columns a group, the last may be ragged; for an empty group_index
  std::span<const std::uint8_t> codes;        ///< [rows, columns]
  std::span<const float> scales;              ///< [rows, groups], finite
  std::span<const float> zeros;               ///< [rows, groups]; empty for kTable
  std::span<const float> table;               ///< for kTable, at most 2^bits numbers
  std::span<const std::int32_t> group_index;  ///< [columns], or empty: column / group
  Outliers outliers;
};

/// A canonical weight that owns its memory.
struct UnpackedWeight {
  CanonicalWeight shape;  ///< its spans are empty
  std::vector<std::uint8_t> codes;
  std::vector<float> scales;
  std::vector<float> zeros;
  std::vector<float> table;
  std::vector<std::int32_t> group_index;
  std::vector<std::int32_t> outlier_rows;
  std::vector<std::int32_t> outlier_columns;
  std::vector<float> outlier_values;
  [[nodiscard]] CanonicalWeight view() const;
};

/// Calls body(state, begin, end) for parts that cover 0..count-1, on any threads, and returns when all are done.
struct Executor {
  using Body = void (*)(void* state, std::int64_t begin, std::int64_t end);
  void (*parallel_for)(void* context, std::int64_t count, Body body, void* state) = nullptr;  ///< null: on this thread
  void* context = nullptr;
};

struct PackedLayout;

/// A matrix in the layout of the CPU kernels (docs/design/003-kernels.md). Cheap to copy: copies share the memory.
class PackedWeight {
 public:
  /// Throws `kData` when the weight contradicts itself, naming the place.
  [[nodiscard]] static PackedWeight pack(const CanonicalWeight& weight, const Executor& executor = {});
  /// Exactly what was packed; codes below outliers included.
  [[nodiscard]] UnpackedWeight unpack() const;
  [[nodiscard]] std::int64_t rows() const;
  [[nodiscard]] std::int64_t columns() const;
  /// All that a product reads: codes, scales, zeros, indices, outliers, padding.
  [[nodiscard]] std::int64_t bytes() const;
  [[nodiscard]] const PackedLayout& layout() const { return *layout_; }

 private:
  explicit PackedWeight(std::shared_ptr<const PackedLayout> layout) : layout_(std::move(layout)) {}
  std::shared_ptr<const PackedLayout> layout_;
};

/// Makes tokens begin .. end - 1 of an input. Called once for each token, by any of the executor's threads, right
/// before the token is rounded.
struct InputMaker {
  void (*make)(void* state, std::int64_t begin, std::int64_t end) = nullptr;  ///< null: the input is there
  void* state = nullptr;
};

/// float32 [tokens, columns], rows `stride` numbers apart.
struct Input {
  const float* data = nullptr;
  std::int64_t tokens = 0;
  std::int64_t columns = 0;
  std::int64_t stride = 0;
  /// What writes `data` (a norm, an activation): it and the rounding of its numbers are one pass through the cache.
  InputMaker maker = {};
};
/// Takes outputs row .. row + count - 1 of a token in place of memory: all rows in parts of kOutputPart (the last may
/// be shorter), each once, by any of the executor's threads and by several at a time. `values` are there during the
/// call.
struct OutputTaker {
  void (*take)(void* state, std::int64_t token, std::int64_t row, std::int64_t count, const float* values) = nullptr;
  void* state = nullptr;
};
inline constexpr std::int64_t kOutputPart = 64;

/// float32 [tokens, rows], tokens `stride` numbers apart. Must not overlap anything that is read but the residual.
struct Output {
  float* data = nullptr;
  std::int64_t tokens = 0;
  std::int64_t rows = 0;
  std::int64_t stride = 0;
  OutputTaker taker = {};  ///< given: nothing is written to `data`, which may be null
};
/// What follows the sums, in this order: y + bias (kFloat32: before the sums), y + residual.
struct Epilogue {
  std::span<const float> bias;      ///< [rows] or empty
  const float* residual = nullptr;  ///< [tokens, rows] or null; may be the output
  std::int64_t residual_stride = 0;
};

/// One product. `backend` forces one by name; empty takes LOWBIT_KERNELS from the environment, and else the fastest
/// that this machine has.
struct Product {
  const PackedWeight& weight;
  Arithmetic arithmetic = Arithmetic::kInt16;
  Input input;
  Output output;
  Epilogue epilogue;
  std::span<std::byte> workspace;  ///< at least workspace_bytes(...)
  Executor executor;
  std::string_view backend;
};
/// Throws `kInternal` for shapes, strides, null pointers and workspaces that do not fit, `kUnsupported` for a pair of
/// weight and arithmetic that has no kernel and for a backend that this machine lacks, `kConfig` for an unknown one.
/// A token with a number that is not finite yields NaN in its whole row for the integer arithmetics, and what IEEE 754
/// says for kFloat32 and kBFloat16; other tokens do not change.
void multiply(const Product& product);

/// For `backend` as in `Product`. Depends on all arguments.
[[nodiscard]] std::size_t workspace_bytes(const PackedWeight& weight, Arithmetic arithmetic, std::int64_t tokens,
                                          std::string_view backend);

/// Which kernel a product runs on, and why.
struct Choice {
  std::string backend;  ///< "avx2"
  std::string kernel;   ///< "panels of 16-bit words"
  std::string reason;
};
[[nodiscard]] Choice explain(const PackedWeight& weight, Arithmetic arithmetic, std::int64_t tokens,
                             std::string_view backend = {});

/// All backends of this build, the slowest first. A backend is usable when the processor has what it needs and the
/// self-check passed: at its first use every backend multiplies small matrices and must give the reference's bits.
struct BackendState {
  std::string name;
  bool usable = false;
  std::string reason;  ///< "processor lacks AVX2", for one that is not usable
};
[[nodiscard]] std::vector<BackendState> backends();

}  // namespace LOWBIT_EXPORT
}  // namespace lowbit
