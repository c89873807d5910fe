#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "lowbit/base/cancellation.h"
#include "lowbit/base/export.h"
#include "lowbit/base/progress.h"
#include "lowbit/model/model.h"

namespace lowbit LOWBIT_EXPORT {

/// One sequence and which of its tokens are scored: targets at positions first .. tokens.size()-1, each predicted from all
/// before it; `first` is at least 1.
struct ScoreRequest {
  std::vector<TokenId> tokens;
  std::int64_t first = 1;
};

/// Natural-log likelihood of each scored target, float64 from float32 logits, and whether it was the argmax.
struct Score {
  std::vector<double> log_likelihood;
  std::vector<bool> greedy;
  [[nodiscard]] double sum() const;
};

/// Batched scoring of one model. Batch size and order of the requests do not change a result when the model computes
/// deterministically. Memory: one batch of activations and a bounded slice of logits.
class Scorer {
 public:
  struct Options {
    std::int64_t batch_tokens = 2048;  ///< tokens of one batch
    std::int64_t logit_rows = 128;     ///< rows of logits at a time
  };
  Scorer(const Model& model, Options options, Progress& progress, const Cancellation& cancellation);

  /// In the order of the requests. Throws `kData` for a request longer than the context, `kInternal` naming the request when
  /// a likelihood is not finite. `observe`, if given, sees the normalised final hidden states of the scored positions of
  /// request i, [targets, hidden], one request after the other in order.
  [[nodiscard]] std::vector<Score> score(std::span<const ScoreRequest> requests,
                                         const std::function<void(std::size_t, const at::Tensor&)>& observe = {}) const;
  [[nodiscard]] const Model& model() const { return model_; }
  [[nodiscard]] const Cancellation& cancellation() const { return cancellation_; }
  [[nodiscard]] Progress& progress() const { return progress_; }

 private:
  const Model& model_;
  Options options_;
  Progress& progress_;
  const Cancellation& cancellation_;
};

}  // namespace lowbit
