#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"

namespace lowbit LOWBIT_EXPORT {

/// Whose activations are meant: the unquantized model's, or those of the blocks solved so far.
enum class Stream { kFloat, kQuantized };

/// What a step wants to know of the input of each group of linears. Needs of several steps are joined by `|`.
struct StatisticsNeeds {
  bool hessian = false;
  bool cross = false;            ///< both streams: (x_float - x_quantized) x_quantized^T
  bool channel_range = false;    ///< min, max and mean |x| of each channel
  std::int64_t sample_tokens = 0;  ///< rows kept, chosen by hash
  Stream stream = Stream::kQuantized;
  [[nodiscard]] bool any() const { return hessian || cross || channel_range || sample_tokens > 0; }
  friend LOWBIT_EXPORT StatisticsNeeds operator|(const StatisticsNeeds& a, const StatisticsNeeds& b);
};

/// Statistics of one group's input over all calibration tokens. *Mergeable*: sums are float64 with token counts, added
/// chunk by chunk in a fixed order, so that merging the parts in order equals one pass bit for bit.
class Statistics {
 public:
  /// The identity of `merge`.
  Statistics(std::int64_t channels, const StatisticsNeeds& needs);

  /// `x` [tokens, channels] of the wanted stream; `x_float` likewise, only for `cross`. Chunks are whole sequences.
  void add(const at::Tensor& x, const at::Tensor& x_float = {});
  void merge(const Statistics& other);

  [[nodiscard]] std::int64_t tokens() const { return tokens_; }
  [[nodiscard]] std::int64_t channels() const { return channels_; }
  /// 2/n sum x x^T, [channels, channels] float64 (GPTQ's Hessian).
  [[nodiscard]] at::Tensor hessian() const;
  /// 2/n sum (x_float - x) x^T, [channels, channels] float64 (GPTAQ's dXX).
  [[nodiscard]] at::Tensor cross() const;
  [[nodiscard]] at::Tensor channel_min() const;      ///< [channels] float32
  [[nodiscard]] at::Tensor channel_max() const;      ///< [channels] float32
  [[nodiscard]] at::Tensor channel_absmax() const;   ///< [channels] float32
  [[nodiscard]] at::Tensor channel_absmean() const;  ///< [channels] float64
  [[nodiscard]] at::Tensor sample() const;           ///< [at most sample_tokens, channels]

  /// What x -> x D^-1 (D = diag(`scale`), the columns of the weight being multiplied by it) makes of the statistics, exactly.
  void apply_diagonal(const at::Tensor& scale);
  /// What x -> x Q makes of them: the Hessian becomes Q^T H Q; channel ranges are lost (their getters then throw).
  void apply_rotation(const at::Tensor& rotation);

 private:
  std::int64_t channels_;
  StatisticsNeeds needs_;
  std::int64_t tokens_ = 0;
  at::Tensor gram_;   // sum x x^T
  at::Tensor cross_;  // sum (x_float - x) x^T
  at::Tensor min_, max_, abs_sum_, sample_, sample_keys_;
};

}  // namespace lowbit
