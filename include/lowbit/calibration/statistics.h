#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "lowbit/base/export.h"
#include "lowbit/calibration/histogram.h"

namespace lowbit LOWBIT_EXPORT {

/// Whose activations are meant: the unquantized model's, or those of the blocks solved so far.
enum class Stream { kFloat, kQuantized };

/// What a step wants to know of the input of each group of linears. Needs of several steps are joined by `|`.
struct StatisticsNeeds {
  bool hessian = false;
  bool cross = false;              ///< both streams: (x_float - x_quantized) x_quantized^T
  bool channel_range = false;      ///< min, max and mean |x| of each channel
  bool histogram = false;          ///< how often each magnitude occurs, over all channels
  bool chunk_range = false;        ///< min and max of each chunk, over all channels
  std::int64_t sample_tokens = 0;  ///< rows kept, chosen by hash
  Stream stream = Stream::kQuantized;
  [[nodiscard]] bool any() const {
    return hessian || cross || channel_range || histogram || chunk_range || sample_tokens > 0;
  }
  friend bool operator==(const StatisticsNeeds&, const StatisticsNeeds&) = default;
  /// Both must read the same stream, unless one asks for nothing.
  friend LOWBIT_EXPORT StatisticsNeeds operator|(const StatisticsNeeds& a, const StatisticsNeeds& b);
};

/// Statistics of one group's input over all calibration tokens. *Mergeable*: sums are float64 with token counts, and
/// one call of `add` is a chunk, so that statistics of single chunks merged in their order equal one pass over them bit
/// for bit; parts of several chunks agree with it to float64 rounding (token counts, ranges and samples exactly).
class Statistics {
 public:
  /// The identity of `merge`.
  Statistics(std::int64_t channels, const StatisticsNeeds& needs);

  /// `x` [tokens, channels] of the wanted stream; `x_float` likewise, for `cross` and only then. A chunk is one or more
  /// whole sequences. `first_row` is the place of its first token among all calibration tokens, by which samples are
  /// drawn; by default the chunk follows what has been added. Second moments add up where `x` lies. Throws `kData`,
  /// naming token and channel, when a value is not finite.
  void add(const at::Tensor& x, const at::Tensor& x_float = {}, std::int64_t first_row = -1);
  /// Adds those of other tokens, for the same channels and needs.
  void merge(const Statistics& other);

  [[nodiscard]] std::int64_t tokens() const { return tokens_; }
  [[nodiscard]] std::int64_t channels() const { return channels_; }
  [[nodiscard]] const StatisticsNeeds& needs() const { return needs_; }

  // Each getter throws `kInternal` when its number was not asked for, when there are no tokens, or when a map has made
  // it meaningless: a rotation that of ranges, any map that of a histogram or of the ranges of chunks. What they return
  // lies in main memory unless another `device` is asked for.
  /// 2/n sum x x^T, [channels, channels] float64 (GPTQ's Hessian).
  [[nodiscard]] at::Tensor hessian(at::Device device = at::kCPU) const;
  /// Its rows [begin, end) alone, for those who can do with a part at a time.
  [[nodiscard]] at::Tensor hessian_rows(std::int64_t begin, std::int64_t end, at::Device device = at::kCPU) const;
  /// 2/n sum (x_float - x) x^T, [channels, channels] float64 (GPTAQ's dXX).
  [[nodiscard]] at::Tensor cross(at::Device device = at::kCPU) const;
  [[nodiscard]] at::Tensor channel_min() const;      ///< [channels] float32
  [[nodiscard]] at::Tensor channel_max() const;      ///< [channels] float32
  [[nodiscard]] at::Tensor channel_absmax() const;   ///< [channels] float32
  [[nodiscard]] at::Tensor channel_absmean() const;  ///< [channels] float64
  [[nodiscard]] const Histogram& histogram() const;
  [[nodiscard]] at::Tensor chunk_ranges() const;  ///< [chunks, 2] float32: min and max, in the tokens' order
  [[nodiscard]] at::Tensor sample() const;        ///< [at most sample_tokens, channels] float32, in the tokens' order

  /// What x -> x D^-1 (D = diag(`scale`), the columns of the weight being multiplied by it) makes of the statistics,
  /// exactly; signs of `scale` may be negative. Throws `kInternal` when a scale is zero or not finite.
  void apply_diagonal(const at::Tensor& scale);
  /// What x -> x Q makes of them: the Hessian becomes Q^T H Q; channel ranges are lost (their getters then throw).
  void apply_rotation(const at::Tensor& rotation);

 private:
  friend class StatisticsFile;  // keeps and restores all of it, bit for bit
  /// A kept token: those with the smallest keys, a hash of their place, stay.
  struct SampledRow {
    std::uint64_t key;
    std::int64_t row;
  };
  void to_main_memory();
  void move_sums(at::Tensor& sums, at::Device device) const;
  void add_in_main_memory(const at::Tensor& rows, std::int64_t first_row);
  void add_ranges(const at::Tensor& x);
  void merge_sample(const std::vector<SampledRow>& rows, const at::Tensor& values);
  void require(bool collected, std::string_view what) const;
  void require_ranges() const;
  void require_unmapped(bool collected, std::string_view what) const;

  std::int64_t channels_;
  StatisticsNeeds needs_;
  std::int64_t tokens_ = 0;
  bool ranges_lost_ = false;
  bool mapped_ = false;
  at::Tensor gram_;                 // sum x x^T, float64
  at::Tensor cross_;                // sum (x_float - x) x^T, float64
  at::Tensor min_, max_, abs_sum_;  // float32, float32, float64
  std::optional<Histogram> histogram_;
  at::Tensor chunk_ranges_;              // [chunks, 2] float32
  at::Tensor sample_;                    // float32, a row for each of sample_rows_
  std::vector<SampledRow> sample_rows_;  // in the order of their places
};

}  // namespace LOWBIT_EXPORT
