#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "lowbit/base/cancellation.h"
#include "lowbit/base/export.h"
#include "lowbit/base/hash.h"
#include "lowbit/base/progress.h"
#include "lowbit/model/model.h"

namespace lowbit LOWBIT_EXPORT {

/// One sequence and which of its tokens are scored: targets at positions first .. tokens.size()-1, each predicted from
/// all before it; `first` is at least 1.
struct ScoreRequest {
  std::vector<TokenId> tokens;
  std::int64_t first = 1;
  /// 0: all tokens are read at once, and no cache is used. Else so many are, and the others one at a time from the
  /// caches that the model makes (`Model::decode_batches`). All requests of a pass have a prefill, or none.
  std::int64_t prefill = 0;
};

/// Of tokens and scored positions.
[[nodiscard]] Hash hash_of_requests(std::span<const ScoreRequest> requests);

/// Natural-log likelihood of each scored target, float64 from float32 logits, and whether it was the argmax.
struct Score {
  std::vector<double> log_likelihood;
  std::vector<bool> greedy;
  std::int64_t cache_bytes = 0;  ///< that the request's tokens took in the caches of all layers; 0 without a prefill
  [[nodiscard]] double sum() const;
};

/// Sees a scoring pass from within: requests one after the other in their order, each first by `hidden`, then, where
/// it wants them, by `logits` in slices.
class ScoreObserver {
 public:
  virtual ~ScoreObserver() = default;
  /// The normalised final hidden states of the scored positions, [targets, hidden].
  virtual void hidden(std::size_t request, const at::Tensor& states);
  /// False: `logits` is not called, and rows of logits need never be whole.
  [[nodiscard]] virtual bool wants_logits() const { return true; }
  /// Logits of targets first_row, first_row + 1 ... of the request, [rows, vocabulary] float32.
  virtual void logits(std::size_t request, std::int64_t first_row, const at::Tensor& rows);
  /// What it must remember of a request that is done, for a pass that goes on after its process was killed.
  [[nodiscard]] virtual std::vector<std::byte> save(std::size_t request);
  /// The same given back, in place of the calls above; false: the request must be scored again, and those behind it.
  [[nodiscard]] virtual bool restore(std::size_t request, std::span<const std::byte> saved);
};

/// Batched scoring of one model. Batch size and order of the requests do not change a result when the model computes
/// deterministically: only sequences of equal length share a batch, so that nothing is padded, and logits are computed
/// request by request. Memory: one batch of activations (for a streamed model, `wave_tokens` of them) and a slice of
/// logits.
class Scorer {
 public:
  struct Options {
    std::int64_t batch_tokens = 2048;    ///< tokens of one batch; at least one sequence
    std::int64_t logit_rows = 1024;      ///< rows whose logits are made at a time, fewer where they are held whole
    std::int64_t wave_tokens = 1 << 16;  ///< tokens that pass a streamed model's blocks together
    /// Where a pass keeps each request that is done and finds those of an earlier process; its model, options and data
    /// must be the same. Empty: nowhere.
    std::filesystem::path work_folder = {};
  };
  Scorer(const Model& model, const Options& options, Progress& progress, const Cancellation& cancellation);

  /// In the order of the requests. Throws `kData` for a request whose input (all tokens but the last) is longer than
  /// the context or whose ids the model does not have, `kInternal` naming request and position when a likelihood is not
  /// finite.
  [[nodiscard]] std::vector<Score> score(std::span<const ScoreRequest> requests,
                                         ScoreObserver* observer = nullptr) const;
  /// Throws as `score` does for requests that the model cannot read.
  void check(std::span<const ScoreRequest> requests) const;
  [[nodiscard]] const Model& model() const { return model_; }
  [[nodiscard]] std::int64_t batch_tokens() const { return options_.batch_tokens; }
  [[nodiscard]] std::int64_t logit_rows() const { return options_.logit_rows; }
  [[nodiscard]] std::int64_t wave_tokens() const { return options_.wave_tokens; }
  [[nodiscard]] const std::filesystem::path& work_folder() const { return options_.work_folder; }
  [[nodiscard]] const Cancellation& cancellation() const { return cancellation_; }
  [[nodiscard]] Progress& progress() const { return progress_; }

 private:
  using Batch = std::vector<std::size_t>;  // requests of equal length
  [[nodiscard]] std::vector<Batch> plan(std::span<const ScoreRequest> requests,
                                        std::span<const std::size_t> order) const;
  [[nodiscard]] std::size_t wave_length(std::span<const ScoreRequest> requests, std::span<const Batch> batches) const;
  // Hidden states of a batch, and the bytes that each of its sequences took in the caches.
  struct BatchStates {
    at::Tensor hidden;
    std::int64_t cache_bytes = 0;
  };
  [[nodiscard]] std::vector<BatchStates> run(std::span<const ScoreRequest> requests, std::span<const Batch> wave) const;
  [[nodiscard]] Score score_one(const ScoreRequest& request, std::size_t index, const at::Tensor& hidden,
                                ScoreObserver* observer) const;

  const Model& model_;
  Options options_;
  Progress& progress_;
  const Cancellation& cancellation_;
};

}  // namespace LOWBIT_EXPORT
